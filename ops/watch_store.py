"""What the watch remembers through a restart: where each condition stands, and which changes are still to be told."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from events.errors import NotReady
from ops.conditions import CONDITIONS
from ops.episodes import CALM, Episode, Patience, Tally, step
from ops.watch_change import Change
from ops.watch_seen import Look, seen, unheard
from ops.watch_settings import WatchSettings

MOST = 1_000
"""Changes that wait to be told; a site that changes more often is not helped by more messages."""


@dataclass
class Memory:
    """The state of everything that is watched."""

    episodes: dict[str, Episode] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    untold: list[Change] = field(default_factory=list)
    letters: dict[int, int] = field(default_factory=dict)
    """By partition of the dead letters, the offset up to which they are known."""

    @property
    def raised(self) -> list[str]:
        """The keys of what is wrong just now, as far as it was told."""
        return [key for key, episode in self.episodes.items() if episode.raised]

    def take(self, look: Look, settings: WatchSettings) -> list[Change]:
        """Note one look, and return what changed by it; the changes are among the untold then."""
        found = seen(look, self.tallies, settings, self.raised)
        if look.kafka and look.kafka.letters:
            self.letters = dict(look.kafka.letters.places)
        changes = []
        for key in sorted(found.keys() | self.episodes.keys()):
            condition = CONDITIONS[key.partition("/")[0]]
            said = found.get(key) or unheard(look, condition.name)
            waits = settings.patience.total_seconds() if condition.waits == "patience" else 0.0
            before = self.episodes.get(key, CALM)
            after = step(before, said.bad, look.at, Patience(waits, settings.hold.total_seconds()))
            if after == CALM:
                self.episodes.pop(key, None)
            else:
                self.episodes[key] = after
            if after.raised != before.raised:
                since = (after if after.raised else before).bad_since
                since = look.at if since is None else since
                changes.append(Change(key, after.raised, since, look.at, said.detail, said.gone))
        self.untold = [*self.untold, *changes][-MOST:]
        return changes

    def save(self, folder: Path, encoded: bytes) -> None:
        """Replace the file whole, or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / "state.json.new"
        with draft.open("wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / "state.json")

    @classmethod
    def load(cls, folder: Path) -> "Memory":
        """Read it; empty before the first look. Raises NotReady for a file that is not one."""
        path = folder / "state.json"
        try:
            said = orjson.loads(path.read_bytes())
            return cls(
                # A condition that a newer version no longer has is over.
                {k: Episode(**v) for k, v in said["episodes"].items() if k.partition("/")[0] in CONDITIONS},
                {name: Tally(v["last"], tuple(v["grew_at"])) for name, v in said["tallies"].items()},
                [Change(**v) for v in said["untold"] if v["key"].partition("/")[0] in CONDITIONS],
                {int(partition): offset for partition, offset in said.get("letters", {}).items()},
            )
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotReady(f"{path} cannot be read: remove it; what is wrong is then told once more.") from error

    def encoded(self) -> bytes:
        """Return what `load` reads."""
        return orjson.dumps(
            {
                "episodes": {key: asdict(episode) for key, episode in self.episodes.items()},
                "tallies": {name: asdict(tally) for name, tally in self.tallies.items()},
                "untold": [change.as_json() for change in self.untold],
                "letters": {str(partition): offset for partition, offset in self.letters.items()},
            }
        )
