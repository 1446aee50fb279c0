"""IFTTT, through the Webhooks service: a webhook whose body is three values."""

from typing import Annotated

import orjson
from pydantic import AfterValidator, Field, SecretStr

from events.records import EnrichedEvent
from sinks import responses
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.posting import Poster, check_url
from sinks.summary import Summary, summarise
from sinks.text import clean, defang

_VALUE = 1_000


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
        raise ValueError("a key is made of letters, digits, - and _: the last part of the address IFTTT shows")
    return value


class IftttSettings(TargetSettings):
    """An applet that begins with 'Receive a web request'."""

    key: Annotated[SecretStr, AfterValidator(_key)]
    """The key of the Webhooks service; whoever has it can trigger every event."""
    event: str = Field(pattern=r"^[A-Za-z0-9_]{1,60}$", description="Name of the event the applet waits for.")
    api: Annotated[SecretStr, AfterValidator(check_url)] = Field(
        SecretStr("https://maker.ifttt.com"), description="Where the Webhooks service is."
    )


class Ifttt(Destination[IftttSettings]):
    """Trigger an applet: title, details and link are its Value1, Value2 and Value3.

    The service knows no idempotency key: the same event twice runs the applet twice.
    """

    Settings = IftttSettings
    shares = ("key",)

    async def open(self) -> None:
        """Make the HTTP client."""
        base, key = self.settings.api.get_secret_value().rstrip("/"), self.settings.key.get_secret_value()
        self._poster = Poster(SecretStr(f"{base}/trigger/{self.settings.event}/with/key/{key}"))
        await self._poster.open(self.resources)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Trigger the event; the answer says that it was taken, not that an applet ran."""
        body = orjson.dumps(values(summarise(event)))
        answer = await self._poster.post(body, {"Content-Type": "application/json"})
        responses.check(answer)
        return Delivered(f"HTTP {answer.status}", outcome="accepted")


def values(summary: Summary) -> dict[str, str]:
    """Return the three values; addresses in them are written so that nothing links them."""
    urgency = f"{summary.urgency.level} {summary.urgency.value}/100" if summary.urgency else ""
    told = [urgency, summary.kind, summary.warning, *(f"{name}: {defang(value)}" for name, value in summary.facts)]
    told += [defang(summary.text(0, _VALUE // 2))]
    return {
        "value1": defang(summary.title),
        "value2": clean(" · ".join(filter(None, told)), _VALUE),
        "value3": summary.link or "",
    }
