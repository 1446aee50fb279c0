"""Microsoft Teams, through a channel's workflow "When a Teams webhook request is received"."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, Field, SecretStr

from events.records import EnrichedEvent
from sinks import responses
from sinks.adaptive_card import draw
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.limits import Limit
from sinks.posting import Poster, check_url
from sinks.summary import summarise
from sinks.text import clean

_RETIRED = ("webhook.office.com", "logic.azure.com", "outlook.office.com", "outlook.office365.com")


def _check_host(url: SecretStr) -> SecretStr:
    host = (urlsplit(url.get_secret_value()).hostname or "").rstrip(".")
    for retired in _RETIRED:
        if host == retired or host.endswith(f".{retired}"):
            raise ValueError(
                f"addresses at {retired} no longer work: in Teams, add the workflow "
                "'Send webhook alerts to a channel' and use the address it shows"
            )
    return check_url(url)


class TeamsSettings(TargetSettings):
    """A Teams channel."""

    url: Annotated[SecretStr, AfterValidator(_check_host)]
    """The workflow's address; whoever has it can post."""
    posts_per_day: int | None = Field(
        2_000,
        ge=20,
        description="What the licence of the flow's owner carries: 6,000 steps a day, of which a card takes about three.",
    )


class Teams(Destination[TeamsSettings]):
    """Post each event to a Teams channel as an Adaptive Card.

    Teams knows no idempotency key: the same event twice is two messages. 202 says the flow took the card, not that the
    channel shows it.
    """

    Settings = TeamsSettings
    named = 100

    async def open(self) -> None:
        """Make the HTTP client."""
        self._poster = Poster(self.settings.url)
        await self._poster.open(self.resources)

    def limits(self) -> tuple[Limit, ...]:
        """Keep to 25 posts in 300 s as Flow bot (learn.microsoft.com/connectors/teams), and to the licence's day."""
        daily = self.settings.posts_per_day
        return (Limit(25, 300.0, reserve=5), *((Limit(daily, 86_400.0, reserve=daily // 10),) if daily else ()))

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Post the card."""
        # No Authorization header: a flow that anyone may call refuses the post when there is one.
        answer = await self._poster.post(orjson.dumps(card(event)), {"Content-Type": "application/json"})
        responses.check(answer)
        run_id = clean(answer.headers.get("x-ms-workflow-run-id"), 100) or None
        return Delivered(f"HTTP {answer.status}", run_id, outcome="accepted")


def card(event: EnrichedEvent) -> dict[str, Any]:
    """Draw an event as the message a Teams workflow posts: at most 20 KB of UTF-8, hostile text harmless."""
    return draw(summarise(event))
