"""The terminal of `tocsin up`: a list while it starts, then one line that is kept fresh."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sandbox.live import Flow, line

PLAIN_EVERY = 10
"""Seconds between two lines where nobody's terminal can be redrawn."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Stop as if asked to: nobody reads any more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        os.kill(os.getpid(), signal.SIGTERM)


class Screen:
    """Say things above a line that stays at the bottom; plain lines where the output is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Console(highlight=False, emoji=False)
        self._live: Live | None = None
        self._looks = 0

    def say(self, text: str = "", style: str = "") -> None:
        """Print a sentence."""
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def item(self, name: str, text: str) -> None:
        """Print a line of a list; a long one is not folded, so that an address can be copied whole."""
        self.console.print(Text(f"  {name:<11}", style="bold").append(text, style="not bold"), soft_wrap=True)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show what is being waited for; it leaves no trace."""
        with self.console.status(what) if self.console.is_terminal else nullcontext():
            yield

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the last line for `flow`."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def flow(self, flow: Flow) -> None:
        """Show the flow; called once a second."""
        if self._live:
            text = Text(line(flow, self.console.width - 1), no_wrap=True, overflow="crop")
            self._live.update(text, refresh=True)
        elif self._looks % PLAIN_EVERY == 0:
            self.say(line(flow))
        self._looks += 1
