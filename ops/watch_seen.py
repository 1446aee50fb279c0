"""What is wrong, given one look: pure, from the rooms' pages, Kafka's answer and the canaries to conditions."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from inbox.lag import Lag
from ops.conditions import Seen, key_of
from ops.doctor_sekoia import SOON
from ops.episodes import Tally
from ops.watch_kafka import KafkaSaid
from ops.watch_letters import Letters
from ops.watch_pages import Page, Pages
from ops.watch_settings import WatchSettings


@dataclass(frozen=True)
class Look:
    """Everything one look found."""

    at: float
    pages: Pages
    kafka: KafkaSaid | None
    free_here: int
    """Bytes left on the disk of TOCSIN_DATA."""
    key_ends: datetime | None = None
    """When the API key ends, where it says so."""
    overdue: Mapping[str, str] = field(default_factory=dict)
    """By target: why its canary is missed; empty while it is not."""


Tallies = dict[str, Tally]
"""Counters of the rooms and of the topics, by name: what the watch remembers of them from look to look."""


def seen(look: Look, tallies: Tallies, settings: WatchSettings, raised: Collection[str] = ()) -> dict[str, Seen]:
    """Return by key what is bad and what is well; the tallies take note of the look.

    `raised` are the keys of what was told and is not over. A key that is not in the answer was not heard of: `unheard` says
    what that means.
    """
    _forget(tallies, look.pages)
    found = {key_of("kafka_away"): Seen(look.kafka is None)}
    for name, page in look.pages.items():
        found[key_of("room_down", name)] = Seen(page is None)
        if page:
            found |= _room(name, page, tallies, look.at, settings)
            for key, said in (*_of_targets(page), *_of_the_api(page)):
                # Several workers may tell of one thing: bad for one is bad.
                if key not in found or said.bad:
                    found[key] = said
    if "breaker_open" in found and any(
        page and page.most("tocsin_stream_api_key_refused") for page in look.pages.values()
    ):
        # It is open because of the key, in the workers that only heard of it too. What was told before is not over by
        # that, and what was only suspected begins anew when the key is good and it is still open.
        found["breaker_open"] = Seen(None if "breaker_open" in raised else False)
    if look.kafka:
        found |= _groups(look.kafka.lags or (), settings)
        missing = look.kafka.missing
        found[key_of("topics_missing")] = Seen(bool(missing), f"Not there: {', '.join(missing)}" if missing else "")
        if (letters := look.kafka.letters) is not None:
            found[key_of("dead_letter")] = _buried(letters, tallies, look.at, settings)
    low = look.free_here < settings.disk_free
    found[key_of("disk_low", "data")] = Seen(low, f"{look.free_here / 1e9:.1f} GB left where TOCSIN_DATA is")
    if look.key_ends:
        left = look.key_ends.timestamp() - look.at
        found[key_of("api_key_expiring")] = Seen(left < SOON.total_seconds(), f"It ends on {look.key_ends:%Y-%m-%d}")
    for target, why in look.overdue.items():
        found[key_of("canary_missed", target)] = Seen(bool(why), why)
    return found


def unheard(look: Look, condition: str) -> Seen:
    """Return what to think of a condition nothing was heard of: nothing while a source is silent, else that it is over.

    A target that was taken out of the rules, or a group that was deleted or that nobody reads for, is not looked at any
    more; it need not be well.
    """
    detail = ""
    if condition == "late":
        silent = look.kafka is None or look.kafka.lags is None
        detail = "Nobody reads for it, or its place was deleted"
    elif condition == "dead_letter":
        silent = look.kafka is None or look.kafka.letters is None
    else:
        silent = look.kafka is None if condition == "topics_missing" else None in look.pages.values()
    return Seen(None) if silent else Seen(bad=False, detail=detail, gone=True)


def _forget(tallies: Tallies, pages: Pages) -> None:
    """Drop what was counted of a process that is gone for good: its room has others, and it has no address any more."""
    for key in [key for key in tallies if "@" in key]:
        process = key.rpartition("/")[2]
        room = process.partition("@")[0]
        unknown = pages.get(room, "") is None  # the name did not lead anywhere just now
        if process not in pages and not unknown:
            del tallies[key]


def _room(name: str, page: Page, tallies: Tallies, now: float, settings: WatchSettings) -> dict[str, Seen]:
    found = {}
    window = settings.window.total_seconds()
    if (started := page.most("process_start_time_seconds")) is not None:
        # Not every worker answers each time: only one that is younger than all before was started anew.
        tally = tallies.get(f"start/{name}", Tally())
        if started < (tally.last or 0.0) > now:  # of a clock that ran ahead, or what an earlier version added up
            tally = Tally()
        tally = tallies[f"start/{name}"] = tally.take(max(started, tally.last or 0.0), now, within=window)
        count = tally.lately(now, window)
        found[key_of("room_restarting", name)] = Seen(count > settings.restarts, f"{count} starts lately")
    if (waiting := page.most("tocsin_ingest_spool_events")) is not None:
        using = bool(page.most("tocsin_ingest_spool_open")) or waiting > 0
        found[key_of("spool_in_use", name)] = Seen(using, f"{waiting:,.0f} events wait there")
        found[key_of("webhooks_refused", name)] = _refused(name, page, tallies, now, settings)
    if (free := page.most("tocsin_ingest_spool_disk_free_bytes")) is not None:
        low = free < settings.disk_free
        found[key_of("disk_low", name)] = Seen(low, f"{free / 1e9:.1f} GB left where the spool of {name} is")
    if served([page]):
        found[key_of("rules_refused", name)] = _rules(name, page, tallies, now)
    return found


def _refused(name: str, page: Page, tallies: Tallies, now: float, settings: WatchSettings) -> Seen:
    """Count by worker: one that was slow to answer once is missing from a sum, and its return would be growth."""
    refused = page.series("tocsin_ingest_rejected_total", "worker", reason="not_published")
    lately, window = 0, settings.window.total_seconds()
    for worker in page.series("tocsin_ingest_spool_events", "worker"):
        key = f"refused/worker {worker}/{name}" if worker else f"refused/{name}"
        tally = tallies[key] = tallies.get(key, Tally()).take(refused.get(worker, 0.0), now, within=window)
        lately += tally.lately(now, window)
    return Seen(lately > 0, f"{sum(refused.values()):,.0f} refused so far")


def _rules(name: str, page: Page, tallies: Tallies, now: float) -> Seen:
    """Say whether the last time the rules file was read ended in a refusal, however long ago."""
    latest = {}
    for outcome in ("refused", "adopted"):
        value = page.total("tocsin_sink_rules_reloads_total", outcome=outcome) or 0.0
        key = f"rules/{outcome}/{name}"
        latest[outcome] = tallies[key] = tallies.get(key, Tally()).take(value, now, within=float("inf"), most=1)
    if not latest["refused"].last:
        return Seen(bad=False)  # a room that was started anew has read the file as it is
    return Seen(max(latest["refused"].grew_at, default=0.0) > max(latest["adopted"].grew_at, default=0.0))


def _of_targets(page: Page) -> Iterator[tuple[str, Seen]]:
    for metric, condition in (
        ("tocsin_sink_unavailable", "target_unavailable"),
        ("tocsin_sink_paused", "target_paused"),
    ):
        for name, value in page.series(metric, "target").items():
            yield key_of(condition, name), Seen(bool(value))


def _of_the_api(page: Page) -> list[tuple[str, Seen]]:
    return [
        (key_of(condition), Seen(bool(value)))
        for metric, condition in (
            ("tocsin_stream_api_key_refused", "api_key_refused"),
            ("tocsin_catch_up_api_key_refused", "api_key_refused"),
            ("tocsin_stream_breaker_open", "breaker_open"),
            ("tocsin_catch_up_webhooks_silent", "webhooks_silent"),
        )
        if (value := page.total(metric)) is not None
    ]


def _groups(lags: Sequence[Lag], settings: WatchSettings) -> dict[str, Seen]:
    oldest = settings.oldest.total_seconds()
    return {
        key_of("late", lag.group): Seen(
            (lag.oldest or 0.0) > oldest or lag.records > settings.lag,
            f"{lag.records:,} records wait, the oldest for {lag.oldest or 0.0:,.0f} s",
        )
        for lag in lags
    }


def _buried(letters: Letters, tallies: Tallies, now: float, settings: WatchSettings) -> Seen:
    window = settings.window.total_seconds()
    before = tallies.get("letters", Tally(0.0))
    tally = tallies["letters"] = before.take((before.last or 0.0) + len(letters.new), now, within=window)
    return Seen(tally.lately(now, window) > 0, str(letters))


def served(pages: Iterable[Page | None]) -> set[str]:
    """Return the targets whose sink answers: what is on Kafka for them is delivered."""
    return {target for page in pages if page for target in page.series("tocsin_sink_paused", "target")}
