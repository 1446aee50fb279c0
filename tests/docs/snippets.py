"""The fenced blocks of a document, by their language."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def snippets(document: str, language: str) -> list[str]:
    """Return the blocks of one language, in the order of the page."""
    text = (DOCS / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
