"""Run a command that cannot outlive its parent: `python -m sandbox.leash [--parent PID] -- command…`.

On Linux the kernel kills the command when the thread that started it ends, however it ends. Elsewhere the command
simply runs. `--parent` names the expected parent, so that one that died before this line ran is noticed too.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the command."""
    at = arguments.index("--")
    options, command = arguments[:at], arguments[at + 1 :]
    parent = int(options[1]) if options else os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # the whole point


if __name__ == "__main__":
    main(sys.argv[1:])
