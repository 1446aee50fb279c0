"""Asking the Alert API what it lists: a call without an answer is made again, and what it lists is compared."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops import reconcile_api
from ops.reconcile_api import Api
from stream.alert_api import Unavailable

NOW = datetime(2026, 7, 29, 8, tzinfo=UTC)
DAY = timedelta(days=1)


class Pages:
    """Answers as it is told to: an error, or a page."""

    def __init__(self, answers: Sequence[list[dict[str, Any]] | Exception]) -> None:
        self.left = list(answers)

    async def updated(self, _since: datetime, _offset: int = 0) -> list[dict[str, Any]]:
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def alert(uuid: str, ago: timedelta) -> dict[str, Any]:
    at = (NOW - ago).timestamp()
    return {"uuid": uuid, "short_id": f"AL{uuid}", "community_uuid": "c", "created_at": at, "updated_at": at}


def test_a_call_without_an_answer_is_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    api = Api()
    asyncio.run(api.ask(Pages([Unavailable("away"), Unavailable("away"), [alert("U1", DAY / 2)]]), NOW - DAY, pause=0))
    assert list(api.listed) == ["u1"]
    assert capsys.readouterr().err.count("does not answer (away)") == 2


def test_an_api_that_stays_away_is_not_waited_for_for_ever() -> None:
    pages = Pages([Unavailable("away")] * (reconcile_api.TRIES + 1))
    with pytest.raises(Unavailable):
        asyncio.run(Api().ask(pages, NOW - DAY, pause=0))
    assert len(pages.left) == 1


def test_what_no_record_tells_of_is_named() -> None:
    api = Api()
    asyncio.run(api.ask(Pages([[alert("u1", DAY / 2), alert("u2", DAY / 2), alert("u3", DAY / 1000)]]), NOW - DAY))
    api.known.created.add("u1")
    count, (gap,) = api.compare(NOW - DAY, NOW - timedelta(minutes=15))
    assert (count.expected, count.there, count.waiting) == (2, 1, 1)
    assert (gap.kind, gap.place, gap.alert, gap.at) == ("lost webhook", "ALu2", "u2", NOW - DAY / 2)
