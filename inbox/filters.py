"""The filters of the page: read from its address, written back to it, and turned into SQL."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from inbox.notification import LEVELS, UNKNOWN

GROUPS = ("rule", "entity", "none")
STATES = ("unread",)
NAMES = (*(name for _, name in LEVELS), UNKNOWN)
LONGEST = 200
"""Characters of a filter's value; our own texts are not longer."""


@dataclass(frozen=True)
class Filters:
    """What a person wants to see; empty means everything."""

    urgency: tuple[str, ...] = ()
    type: str = ""
    tenant: str = ""
    community: str = ""
    entity: str = ""
    rule: str = ""
    status: str = ""
    q: str = ""
    state: str = ""
    group: str = "rule"

    @classmethod
    def read(cls, query: Iterable[tuple[str, str]]) -> "Filters":
        """Read them from a query string; what is no filter or no value of one is passed over."""
        found: dict[str, str] = {}
        levels = []
        for name, value in query:
            if name == "urgency":
                levels += [level for level in value.split(",") if level in NAMES]
            elif name in _PLAIN:
                found[name] = value.strip()[:LONGEST]
        if found.get("state") not in STATES:
            found.pop("state", None)
        if found.get("group") not in GROUPS:
            found.pop("group", None)
        return cls(urgency=tuple(sorted(set(levels), key=NAMES.index)), **found)

    def address(self, **changes: str) -> str:
        """Return them as a query string, "" for none; `changes` replace single ones."""
        values = {each.name: getattr(self, each.name) for each in fields(self)} | {"urgency": ",".join(self.urgency)}
        values |= changes
        if values["group"] == GROUPS[0]:
            values["group"] = ""
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def column(self) -> str:
        """The column that names a thread's row: its burst, or itself."""
        return {"rule": "by_rule", "entity": "by_entity"}.get(self.group, "id")

    @property
    def active(self) -> int:
        """How many filters narrow the page."""
        return sum(bool(getattr(self, each.name)) for each in fields(self) if each.name != "group")

    def where(self, thread: str, *, indexed: bool) -> tuple[str, list[str]]:
        """Return the condition on a thread's row and its parameters; `state` is not in it, it depends on the reader.

        Not `indexed` keeps SQLite from choosing an index for it, where a better one is at hand.
        """
        conditions: list[str] = []
        values: list[str] = []
        thread = thread if indexed else f"+{thread}"
        if self.urgency:
            conditions.append(f"{thread}.level IN ({', '.join('?' * len(self.urgency))})")
            values += self.urgency
        for name in ("tenant", "community", "entity", "rule", "status"):
            if value := getattr(self, name):
                conditions.append(f"{thread}.{name} = ?")
                values.append(value)
        if self.type:
            conditions.append(f"instr({thread}.types, ?) > 0")
            values.append(f",{self.type},")
        for word in self.q.casefold().split():
            conditions.append(f"instr({thread}.search, ?) > 0")
            values.append(word)
        return " AND ".join(conditions) or "1", values


_PLAIN = {each.name for each in fields(Filters)} - {"urgency"}
