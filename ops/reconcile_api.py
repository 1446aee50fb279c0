"""What the Alert API lists, compared with what our own topics tell of it, as a catch-up does."""

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops import catch_up_known
from ops.catch_up import Known, Listed, missing
from ops.catch_up_pass import Pages, listed_from
from ops.gaps import Count, Gap, Kind
from ops.life import Record
from stream.alert_api import Unavailable

TRIES, PAUSE = 10, 15.0
"""How often in all a list is asked for, and the seconds between: after an error nobody calls for half a minute."""


@dataclass
class Api:
    """Asked once, before the topics are read; where it is not asked it lists nothing."""

    listed: dict[str, Listed] = field(default_factory=dict)
    """By uuid in lower case."""
    known: Known = field(default_factory=Known)

    async def ask(self, pages: Pages, since: datetime, pause: float = PAUSE) -> None:
        """List what has changed since then; a call that gets no answer is made again. Raises Unavailable, Refused, NotReady."""
        begin, ended, left = since.timestamp(), False, TRIES
        while not ended:
            try:
                listed, begin, ended = await listed_from(pages, begin)
            except Unavailable as error:
                left -= 1
                if not left:
                    raise
                print(f"The Alert API does not answer ({error}); asked again in {pause:.0f} s.", file=sys.stderr)
                await asyncio.sleep(pause)
                continue
            self.listed |= {each.uuid.lower(): each for each in listed}

    def note(self, record: Record, *, enriched: bool) -> None:
        """Take a record of the raw or the enriched topic."""
        if self.listed:
            catch_up_known.note(self.known, self.listed.keys(), record, enriched=enriched)

    def compare(self, since: datetime, until: datetime) -> tuple[Count, list[Gap]]:
        """Count the alerts that changed in a span, and name those, and changes of them, that no record tells of."""
        count, gaps = Count(), list[Gap]()
        floor, end = since.timestamp(), until.timestamp()
        feeds = {feed.key.decode(): feed for feed in missing(self.listed.values(), self.known, floor, end)}
        for alert in self.listed.values():
            if not floor <= alert.updated_at <= end:
                count.waiting += alert.updated_at > end
                continue
            count.expected += 1
            feed = feeds.get(alert.uuid)
            if feed is None:
                count.there += 1
                continue
            kind: Kind = "lost webhook" if feed.event_id.startswith("created:") else "lost change"
            at = datetime.fromtimestamp(alert.created_at if kind == "lost webhook" else alert.updated_at, UTC)
            gaps.append(Gap(kind, alert.short_id, feed.event_id, alert.uuid, at=at))
        return count, gaps
