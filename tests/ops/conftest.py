"""What the tests of the operator's verbs share."""

import pytest

from sinks.posting import Poster
from sinks.responses import Answer


class Asked:
    """Answers instead of every server the sinks' client would ask, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.answers = [Answer(200, {})]
        self.requests = []

    async def send(self, wanted) -> Answer:
        self.requests.append(wanted)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def asked(monkeypatch) -> Asked:
    """Let nothing leave the machine."""
    made = Asked()
    monkeypatch.setattr(Poster, "_send", made.send)
    return made
