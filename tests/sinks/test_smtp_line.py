"""One SMTP connection for several mails: bounded, and never the reason that a mail fails."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from sinks import smtp_line
from sinks.destination import Delivered, Unavailable, Undeliverable

_spec = importlib.util.spec_from_file_location("smtp_site", Path(__file__).with_name("test_conformance_smtp.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)


class Server(site.Server):
    """Counts the goodbyes, and may answer a question whether it is there in its own way."""

    def __init__(self, **answers: str) -> None:
        super().__init__(**answers)
        self.goodbyes = 0

    async def handle_QUIT(self, _server, _session, _envelope) -> str:  # noqa: N802
        self.goodbyes += 1
        return "221 Bye"

    async def handle_RSET(self, _server, _session, _envelope) -> str:  # noqa: N802
        return self.answers.get("RSET", "250 OK")


def events(count: int) -> list:
    return [site.hostile.event().model_copy(update={"event_id": f"e{number}"}) for number in range(count)]


def sent(server: Server, between=None, count: int = 3) -> list:
    async def scenario() -> list:
        async with await server.listening() as listening:
            async with site.opened("email", listening.sockets[0].getsockname()[1]) as destination:
                results = []
                for number, event in enumerate(events(count)):
                    results.append(await site.outcome(destination, event))
                    if between:
                        await between(number)
            await server.hang_up()
            return results

    return asyncio.run(scenario())


def test_several_mails_go_over_one_connection_that_ends_politely():
    server = Server()
    assert [type(one) for one in sent(server)] == [Delivered] * 3
    assert (len(server.mails), len(server.dialogues), server.goodbyes) == (3, 1, 1)


@pytest.mark.parametrize(("bound", "value", "dialogues"), [("MAILS", 2, 3), ("LONGEST", 0.0, 5), ("MAILS", 1, 5)])
def test_bounded_by_count_and_by_age(bound, value, dialogues, monkeypatch):
    monkeypatch.setattr(smtp_line, bound, value)
    server = Server()
    sent(server, count=5)
    assert (len(server.mails), len(server.dialogues), server.goodbyes) == (5, dialogues, dialogues)


def test_an_idle_connection_is_given_up_without_a_mail_to_say_so(monkeypatch):
    monkeypatch.setattr(smtp_line, "IDLE", 0.0)
    server = Server()

    async def until_left(number: int) -> None:
        while server.goodbyes <= number:
            await asyncio.sleep(0.001)

    assert [type(one) for one in sent(server, until_left)] == [Delivered] * 3
    assert (len(server.mails), len(server.dialogues)) == (3, 3)


def test_a_mail_that_meets_a_connection_just_being_given_up_is_sent(monkeypatch):
    monkeypatch.setattr(smtp_line, "IDLE", 0.0)
    server = Server()

    async def a_moment(_number: int) -> None:
        await asyncio.sleep(0)

    assert [type(one) for one in sent(server, a_moment, 20)] == [Delivered] * 20
    assert len(server.mails) == 20


def test_a_kept_connection_that_broke_is_no_error_of_the_mail():
    server = Server()

    async def broken(_number: int) -> None:
        await server.hang_up()

    assert [type(one) for one in sent(server, broken)] == [Delivered] * 3
    assert (len(server.mails), len(server.dialogues)) == (3, 3), "each mail once"


@pytest.mark.parametrize("answer", ["421 time is up", "500 what"])
def test_a_kept_connection_that_is_not_good_any_more_is_replaced(answer):
    server = Server(RSET=answer)
    assert [type(one) for one in sent(server)] == [Delivered] * 3
    assert len(server.dialogues) == 3


def test_what_is_refused_leaves_nothing_to_the_next_mail():
    server = Server(RCPT="550 nobody")

    async def willing(number: int) -> None:
        server.answers = {} if number == 0 else server.answers

    refused, *taken = sent(server, willing)
    assert isinstance(refused, Undeliverable)
    assert [type(one) for one in taken] == [Delivered] * 2
    assert all(one.content.count(b"Message-ID") == 1 for one in server.mails)


def test_a_mail_whose_end_is_not_known_is_not_sent_again_behind_the_runners_back():
    server = Server()

    async def cut(_server, _session, envelope) -> str:
        server.mails.append(envelope)
        server.dialogues[-1].transport.abort()
        return "250 OK"

    server.handle_DATA = cut
    assert isinstance(sent(server, count=1)[0], Unavailable)
    assert len(server.mails) == 1
