"""Hooks: who may post, and what a mistake in the setting says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NotReady
from ingest.hooks import Hooks

OLD = "old-token-0123456789"
NEW = "new-token-0123456789"
LAB = "lab-token-0123456789"


def test_every_token_of_a_hook_opens_it():
    hooks = Hooks.parse(f" soc={OLD}, lab={LAB} ,soc={NEW},")
    assert [hooks.find(token).name for token in (OLD, NEW, LAB)] == ["soc", "soc", "lab"]
    assert hooks.names == ["soc", "lab"]


@given(st.text())
def test_no_other_text_opens_anything(token):
    assert token == OLD or Hooks.parse(f"soc={OLD}").find(token) is None


def test_tokens_are_not_kept():
    hooks = Hooks.parse(f"soc={OLD}")
    assert OLD not in repr(vars(hooks))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "INGEST_HOOKS is not set"),
        (" , ", "INGEST_HOOKS is not set"),
        (OLD, "entry 1 is not name=token"),
        (f"soc={OLD},={NEW}", "entry 2 is not name=token"),
        (f"the soc={OLD}", "entry 1 is not name=token"),
        ("soc=fifteen-letters", "hook soc is shorter than 16"),
        (f"soc={OLD}/x", "hook soc does not fit into a URL"),
        (f"soc={OLD}é", "hook soc does not fit into a URL"),
        (f"soc={OLD},lab={OLD}", "hooks soc and lab the same token"),
    ],
)
def test_a_mistake_ends_in_one_sentence_that_shows_the_way_and_no_token(text, says):
    with pytest.raises(NotReady) as caught:
        Hooks.parse(text)
    sentence = str(caught.value)
    assert says in sentence
    assert "secrets.token_urlsafe(24)" in sentence
    assert "\n" not in sentence
    assert not any(token in sentence for token in (OLD, NEW, "fifteen-letters"))


def test_the_same_entry_twice_is_no_mistake():
    assert Hooks.parse(f"soc={OLD},soc={OLD}").names == ["soc"]
