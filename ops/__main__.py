"""Run the command as `python -m ops`, as the supervisor does."""

from ops.cli import main

main()
