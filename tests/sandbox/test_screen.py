"""The terminal of `tocsin up`, as bytes a terminal or a file would get."""

import io

from rich.console import Console

from sandbox.live import STEPS, Flow
from sandbox.screen import Screen

FLOW = Flow(dict.fromkeys(STEPS, 1), dict.fromkeys(STEPS, 0.0), {"stream": 0})


def screen(*, terminal: bool, width: int = 80) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, force_terminal=terminal, width=width, highlight=False, emoji=False)), out


def test_file_gets_a_line_every_ten_looks() -> None:
    shown, out = screen(terminal=False)
    with shown.live():
        for _ in range(21):
            shown.flow(FLOW)
    assert out.getvalue().count("accepted 1") == 3
    assert "\x1b" not in out.getvalue()


def test_terminal_gets_one_line_that_is_redrawn() -> None:
    shown, out = screen(terminal=True)
    with shown.live():
        for _ in range(3):
            shown.flow(FLOW)
    assert out.getvalue().count("archived 1") >= 3
    assert out.getvalue().count("\n") <= 1


def test_address_is_not_folded_and_nothing_in_it_is_markup() -> None:
    address = "http://127.0.0.1:8080/hooks/" + "[bold]:smile:" * 10
    for terminal in (True, False):
        shown, out = screen(terminal=terminal, width=40)
        shown.item("hook", address)
        assert address in out.getvalue()
