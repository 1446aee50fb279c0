"""How the process ends when something unexpected happened: at once, and without acknowledging anything."""

import logging
import os
import sys
from typing import NoReturn

import structlog

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h; the supervisor starts the process again."""

log = structlog.get_logger()


def end_process(why: str, error: BaseException | None = None) -> NoReturn:
    """End the process now: a clean stop would commit offsets of records that are not finished."""
    log.critical("ending", why=why, error=repr(error) if error else None, exc_info=error)
    sys.stderr.flush()
    logging.shutdown()
    os._exit(EXIT_CODE)
