"""`tocsin up`: the whole pipeline on this machine, until Ctrl-C."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import folder, watch
from sandbox.arrangement import Arrangement, arrange
from sandbox.kafka import EmbeddedKafka
from sandbox.plan import Layout, rooms, simulate
from sandbox.screen import Screen
from sandbox.supervisor import Process, Ready, Restart, Supervisor

STOP_WITHIN = 13.0
START_WITHIN = 90.0
INTERRUPTED = 130
"""Exit code of who was told twice to stop."""


def run() -> None:
    """Run until Ctrl-C, SIGTERM or the end of the terminal.

    Raises NotReady when something cannot start; what did start is stopped again.
    """
    # What it repeats about a broker that is away, the supervisor says once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Screen()
    wanted = arrange(Path.cwd(), {k: v for k, v in dotenv_values(".env").items() if v is not None} | dict(os.environ))
    with folder.taken(wanted.data):
        broker = None
        if wanted.embedded:
            broker = EmbeddedKafka(wanted.data / "kafka", port=wanted.ports.kafka)
            with suppress(KeyboardInterrupt):
                broker.prepare()
'''
