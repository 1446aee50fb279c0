"""The command `tocsin budget`; what it does stands in ops/budget.py."""

from typing import Annotated

import typer

from events.settings import KafkaSettings
from ops.moments import moment


def budget(
    since: Annotated[str, typer.Option(help="Look back so far: 24h, 7d, or a time.")] = "7d",
) -> None:
    """Show what each target was posted against every limit it has, and the day on which growth will exceed it.

    Reads the receipts, which are kept for 30 days. Needs KAFKA_BOOTSTRAP_SERVERS and the targets.
    """
    from ops import budget as ops_budget

    ops_budget.show(KafkaSettings(), moment(since))
