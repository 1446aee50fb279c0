"""What a red state on the pipeline page means, and what to do: docs/runbook.md, which the package carries as data.

`python -m inbox.runbook` writes the data anew after the page was changed.
"""

import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"
DATA = Path(__file__).parent / "pages" / "runbook.json"

AWAY, KAFKA, LAG, LETTERS = "tocsinroomdown", "tocsinkafkaaway", "tocsingrouplate", "tocsindeadletters"
SPOOL, UNREACHED, BREAKER = "tocsinspoolinuse", "tocsintargetunavailable", "tocsinalertapibreakeropen"

_ENTRY = re.compile(r"^## (Tocsin\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^\* \*\*(\w+)\*\*: (.*?)(?=^\* |\Z)", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"[A-Z][a-z]+")


@dataclass(frozen=True)
class Entry:
    """One entry of the runbook."""

    name: str
    symptom: str
    check: str
    cure: str

    @property
    def anchor(self) -> str:
        """Its address on the page, as in the docs."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """Its name as people write it."""
        return title(self.name)


def title(name: str) -> str:
    """Write an alert's name for people: Kafka away for TocsinKafkaAway."""
    said = " ".join(_WORD.findall(name.removeprefix("Tocsin"))).capitalize()
    return re.sub(r"\bapi\b", "API", said, flags=re.IGNORECASE)


def parse(page: str) -> list[Entry]:
    """Read the entries of docs/runbook.md."""
    found = []
    for name, body in _ENTRY.findall(page):
        parts = {part.lower(): " ".join(text.split()) for part, text in _PART.findall(body)}
        found.append(Entry(name, **parts))
    return found


@cache
def entries() -> list[Entry]:
    """Return the entries as the package carries them."""
    text = resources.files("inbox").joinpath("pages", DATA.name).read_text("utf-8")
    return [Entry(**each) for each in json.loads(text)]


def carried(page: str) -> str:
    """Write the entries of docs/runbook.md as the package's data."""
    return json.dumps([asdict(each) for each in parse(page)], indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DATA.write_text(carried(PAGE.read_text("utf-8")), "utf-8")
