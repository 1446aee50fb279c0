"""One condition over time, without a clock: bad for long enough raises it, well for long enough ends it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long a condition must last before it is told, and be over before that is (seconds)."""

    raise_after: float = 0.0
    clear_after: float = 60.0


@dataclass(frozen=True)
class Episode:
    """Where one condition stands; times are seconds of whoever asks, for as long as the same clock is meant."""

    bad_since: float | None = None
    well_since: float | None = None
    """Since when a raised condition is not seen any more."""
    raised: bool = False


CALM = Episode()
"""Nothing is wrong, and nothing is suspected."""


def step(episode: Episode, bad: bool | None, now: float, patience: Patience) -> Episode:
    """Return where it stands after one look; None, not knowing, changes nothing.

    Between two changes of `raised` lie at least the seconds of `patience`, so what flaps is told once. A clock that was
    set back only makes it wait anew.
    """
    if bad is None:
        return episode
    if not episode.raised:
        if not bad:
            return CALM
        since = min(now, now if episode.bad_since is None else episode.bad_since)
        return Episode(since, None, now - since >= patience.raise_after)
    if bad:
        return Episode(episode.bad_since, None, raised=True)
    well = min(now, now if episode.well_since is None else episode.well_since)
    return CALM if now - well >= patience.clear_after else Episode(episode.bad_since, well, raised=True)


@dataclass(frozen=True)
class Tally:
    """A counter that begins at zero again when its process does: its last value, and when it grew lately."""

    last: float | None = None
    grew_at: tuple[float, ...] = ()

    def take(self, value: float, now: float, *, within: float, most: int = 100) -> "Tally":
        """Note a value; the first one says nothing, for how old it is is not known. Growth older than `within` is dropped."""
        grown = self.last is not None and value != self.last and value > 0
        kept = [at for at in self.grew_at if now - within <= at <= now]
        return Tally(value, tuple([*kept, now] if grown else kept)[-most:])

    def lately(self, now: float, within: float) -> int:
        """Return at how many looks of the last seconds it had grown."""
        return sum(now - within <= at <= now for at in self.grew_at)
