"""The doctor's look at the targets: the rules file, the way to each, and with --send a message marked as a test."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from events.errors import NotReady
from ops import trial_card
from ops.findings import Asked, Finding, failed, skipped, warning, well
from sinks import egress, shelf
from sinks.destination import Delivered, Gone, Unavailable, Undeliverable
from sinks.main import load
from sinks.outlet import DEADLINE
from sinks.rules import Target
from sinks.rules_remarks import few_hear
from sinks.settings import SinksSettings
from stream.settings import SekoiaSettings

_RULES = "correct that place; `tocsin rules check` looks at the file and sends nothing."


async def look(asked: Asked) -> AsyncIterator[Finding]:
    """Look at every target of the rules, one after another."""
    try:
        rules = load(SinksSettings())
    except NotReady as error:
        yield _no_rules(str(error))
        return
    if said := few_hear(rules):
        found, _, advice = said.partition(": ")
        yield warning("targets.operators", found, f"{advice} in the rules file (docs/watch.md).")
    for target in rules.targets.values():
        check = f"target.{target.name}"
        host, port, secure = _host(target)
        if trouble := await _way(host, port, secure=secure):
            yield failed(check, trouble[0], trouble[1])
        elif asked.send:
            yield await _send(check, target)
        else:
            reach = "its host may be reached" if host else "it names no host to look at"
            yield skipped(check, f"type {target.type}; {reach}, nothing was sent.", "--send sends a test.")


def _no_rules(sentence: str) -> Finding:
    if sentence.startswith("There is no target: "):
        return failed(
            "targets", "there is no target", "set TEAMS_WEBHOOK_URL, or write a rules file: `tocsin rules init`."
        )
    return failed("targets.rules", sentence.rstrip("."), _RULES)


async def _way(host: str, port: int, *, secure: bool) -> tuple[str, str] | None:
    """Return why a host cannot be reached as the sink would, and what to do; None when it can, or there is none."""
    if not host:
        return None
    try:
        await egress.Guard(host, port, secure=secure).addresses()
    except Unavailable as error:
        if "not known" in error.reason:
            return f"the name {host} is not known here", "correct the target's address, or this machine's DNS."
        return error.reason, "name its network in SINKS_ALLOW_NETWORKS, if it is meant to be inside yours."
    return None


def _host(target: Target) -> tuple[str, int, bool]:
    """Return host and port by the settings a type has: an address, a mail server, or a service's API."""
    settings = target.settings
    if server := getattr(settings, "server", ""):
        return server, getattr(settings, "port", 0), True
    for url in (getattr(settings, "url", None), getattr(settings, "api", None)):
        if isinstance(url, SecretStr):
            parts = urlsplit(url.get_secret_value())
            secure = parts.scheme == "https"
            return parts.hostname or "", parts.port or (443 if secure else 80), secure
    return "", 0, True


async def _send(check: str, target: Target) -> Finding:
    test = trial_card.without_alert(SekoiaSettings().app(), datetime.now(UTC))
    try:
        async with asyncio.timeout(DEADLINE), shelf.find(target.type)(target.settings) as destination:
            delivered = await destination.deliver(test)
    except Gone as error:
        return failed(
            check,
            f"its address is gone ({error.reason})",
            "make a new address at the other end and put it into the rules.",
        )
    except Unavailable as error:
        return failed(check, f"it does not take messages now ({error.reason})", _when_unavailable(error.reason))
    except Undeliverable as error:
        return failed(check, f"it refused the test message ({error.reason})", _when_refused(error.reason))
    except TimeoutError:
        return failed(
            check, f"no end within {DEADLINE:.0f} s", "look whether its server is well, and at the network between."
        )
    return well(check, _taken(delivered))


def _taken(delivered: Delivered) -> str:
    if delivered.outcome == "accepted":
        return f"accepted the message marked {trial_card.MARK} ({delivered.status}); that is no proof: look whether it is shown."
    return f"delivered the message marked {trial_card.MARK} ({delivered.status})."


def _when_unavailable(reason: str) -> str:
    if "user name and password" in reason:
        return "correct the target's username and password in the rules file."
    if "429" in reason:
        return "wait; if it says so again and again, other programs post to the same place."
    if reason.startswith(("HTTP 5", "SMTP 4")):
        return "its server has trouble of its own: look at its status page; messages wait in Kafka meanwhile."
    return "check the target's host and port, and that the firewall lets this machine through to it."


def _when_refused(reason: str) -> str:
    if reason.startswith(("HTTP 401", "HTTP 403", "HTTP 404")):
        return (
            "the address or its credential is not valid (any more): make a new one at the other end, paste it whole, and for "
            "Teams look that the flow is on and anyone may trigger it."
        )
    if reason.startswith("HTTP 3"):
        return "it sends the message elsewhere: put the final address into the rules file."
    return (
        "what it says names the cause; compare the target's settings with docs/settings.md and `tocsin rules schema`."
    )
