"""How every process logs: JSON lines for machines, colours for a terminal."""

import errno
import logging
import os
import sys
from typing import TextIO

import structlog

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def configure() -> None:
    """Send structlog to standard error; LOG_LEVEL and LOG_FORMAT (`json` or `console`) adjust it."""
    console = os.environ.get("LOG_FORMAT", "console" if sys.stderr.isatty() else "json") == "console"
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "INFO").upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Lossy(sys.stderr)),  # type: ignore[arg-type]  # it prints, and no more
        cache_logger_on_first_use=True,
    )


class _Lossy:
    """Lets lines go while the disk they are written to is full: that is to be told by a process that runs, not to end it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise


class _Unreachable(logging.Filter):
    """Holds back what aiokafka says of an address it cannot reach: whoever asked says so in a sentence of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith('Unable connect to "%s'):
            return True
        self.reasons[:] = [str(record.args[-1])] if isinstance(record.args, tuple) and record.args else []
        return False


def hold_back_unreachable() -> list[str]:
    """Keep aiokafka's line about an address it cannot reach out of the log; return where the last reason is put."""
    held = _Unreachable()
    logging.getLogger("aiokafka").addFilter(held)
    return held.reasons
