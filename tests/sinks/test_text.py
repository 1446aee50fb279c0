"""Text made visible: the quick way for plain text says the same as looking at each character."""

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from sinks.text import clean

DROPPED = {"Cc", "Cs", "Cn", "Co", "Cf"}
PIECES = st.sampled_from(
    ["a", "  ", " ", "\t", "\r\n", "\n \n", "\u00a0", "\u2028", "\u202e", "\u200d", "\x00", "é", "😀", "\ue000"]
)


def each_by_each(text: str, limit: int, *, lines: bool) -> str:
    """Say the same with no regard to speed."""
    text = re.sub(r"\r\n?|[\u0085\u2028\u2029]", "\n", text[: 4 * limit]).replace("\t", " ")
    text = "".join(one for one in text if one in "\n\u200c\u200d" or unicodedata.category(one) not in DROPPED)
    parts = [" ".join(part.split()) for part in text.split("\n")]
    text = ("\n" if lines else " ").join(part for part in parts if part)
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


@given(
    st.lists(st.one_of(PIECES, st.characters(), st.text(max_size=5))).map("".join), st.integers(0, 30), st.booleans()
)
@example("two  blanks", 30, False)
@example("\u2003wide\u3000blanks\u2003", 30, True)
def test_the_quick_way_says_the_same(text, limit, lines):
    assert clean(text, limit, lines=lines) == each_by_each(text, limit, lines=lines)
