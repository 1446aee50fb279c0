"""The simulated Teams channel: what it accepts, how it misbehaves when told, and the page that shows the cards."""

import asyncio
import copy
from html.parser import HTMLParser

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import adaptive_card
from sandbox.adaptive_card import MAX_BYTES, BadCard
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver, create_app
from sandbox.serving import serving

BODY = [
    {"type": "TextBlock", "id": "event-1", "text": "Title", "size": "Large", "weight": "bolder", "wrap": True},
    {"type": "FactSet", "facts": [{"title": "Urgency", "value": "75 / 100"}]},
    {"type": "Container", "style": "attention", "items": [{"type": "TextBlock", "text": "inside"}]},
    {
        "type": "ColumnSet",
        "columns": [
            {"type": "Column", "width": "auto", "items": [{"type": "Image", "url": "https://x.example/i.png"}]},
            {"items": [{"type": "RichTextBlock", "inlines": ["a", {"type": "TextRun", "text": "b"}]}]},
        ],
    },
    {"type": "ActionSet", "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": "https://x.example/"}]},
]
CARD = {"type": "AdaptiveCard", "version": "1.4", "body": BODY}


def message(*cards: dict) -> dict:
    return {
        "type": "message",
        "attachments": [
            {"contentType": adaptive_card.CONTENT_TYPE, "contentUrl": None, "content": card}
            for card in cards or (CARD,)
        ],
    }


def raw(event_id: str = "event-1", text: str = "Title") -> bytes:
    return orjson.dumps(message(CARD | {"body": [{"type": "TextBlock", "id": event_id, "text": text}]}))


def take(teams: TeamsReceiver, body: bytes, query: str = "sig=x", **options):
    return teams.take("soc", body, query=query, **options)


def test_a_good_message_is_accepted_and_kept() -> None:
    teams = TeamsReceiver(clock=lambda: 12.5)
    answer = take(teams, orjson.dumps(message()))
    assert (answer.status, answer.reason) == (202, "")
    (post,) = teams.posts
    assert (post.seq, post.at, post.event_id, post.status, post.shown) == (1, 12.5, "event-1", 202, True)
    assert post.card == CARD
    assert post.run_id == answer.run_id != take(teams, raw()).run_id


def test_every_card_of_a_message_is_a_post() -> None:
    teams = TeamsReceiver()
    two = CARD | {"body": [{"type": "TextBlock", "id": "event-2", "text": "2"}]}
    take(teams, orjson.dumps(message(CARD, two)))
    assert [post.event_id for post in teams.posts] == ["event-1", "event-2"]
    assert teams.accepted() == {"event-1": 1, "event-2": 1}


def edited(path: str, value: object) -> bytes:
    """Return a good message with one thing changed, or with `...` removed."""
    whole = copy.deepcopy(message())
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = whole
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return orjson.dumps(whole)


C = "attachments/0/content"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("type", "MessageCard", "type"),
        ("attachments", [], "attachments"),
        ("attachments", ..., "attachments"),
        ("attachments/0", "card", "contentType"),
        ("attachments/0/contentType", "text/html", "contentType"),
        ("attachments/0/contentUrl", "https://x.example", "contentUrl"),
        (C, None, "AdaptiveCard"),
        (f"{C}/type", "HeroCard", "AdaptiveCard"),
        (f"{C}/version", "1.5", "version"),
        (f"{C}/version", '"1.4"', "version"),
        (f"{C}/version", ..., "version"),
        (f"{C}/body", [], "body"),
        (f"{C}/body/0/type", "Table", "'Table' may not stand here"),
        (f"{C}/body/0", "text", "may not stand here"),
        (f"{C}/body/0/type", "Action.OpenUrl", "may not stand here"),
        (f"{C}/body/0/text", 7, "needs text"),
        (f"{C}/body/0/size", "Huge", "size"),
        (f"{C}/body/0/wrap", "true", "wrap"),
        (f"{C}/body/0/id", 7, "id"),
        (f"{C}/body/2/id", "event-1", "twice"),
        (f"{C}/body/1/facts/0", {"title": "no value"}, "title and value"),
        (f"{C}/body/1/facts/0/value", 75, "title and value"),
        (f"{C}/body/2/style", "loud", "style"),
        (f"{C}/body/2/items", ..., "needs items"),
        (f"{C}/body/2/items/0/text", ..., "items[0]"),
        (f"{C}/body/3/columns/0/type", "Container", "columns[0]"),
        (f"{C}/body/3/columns/1/items/0/inlines", [{"type": "TextRun"}], "inlines"),
        (f"{C}/body/4/actions/0/type", "Action.Submit", "'Action.Submit' may not stand here"),
        (f"{C}/body/4/actions/0/url", "javascript:alert(1)", "http"),
        (f"{C}/body/4/actions/0/url", "/operations/alerts/AL1", "http"),
        (f"{C}/actions", [{"type": "Action.OpenUrl", "title": "no url"}], "needs url"),
        (f"{C}/actions", {"type": "Action.OpenUrl"}, "must be a list"),
        (f"{C}/body/2/selectAction", {"type": "Action.Execute"}, "selectAction"),
        (f"{C}/selectAction", {"type": "Action.OpenUrl", "url": "ftp://x.example"}, "http"),
        (f"{C}/msteams", {"entities": [{}] * 21}, "at most 20"),
    ],
)
def test_what_teams_would_not_show_is_refused_with_the_reason(path: str, value: object, reason: str) -> None:
    teams = TeamsReceiver()
    answer = take(teams, edited(path, value))
    assert answer.status == 400
    assert reason in answer.reason
    assert [(post.status, post.shown, post.reason) for post in teams.posts] == [(400, False, answer.reason)]
    assert not teams.accepted()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"type":"message","attachments":[7]}'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    assert take(TeamsReceiver(), body).status == 400


def test_28_kb_is_the_end() -> None:
    room = MAX_BYTES - len(raw(text=""))
    assert take(TeamsReceiver(), raw(text="x" * room)).status == 202
    refused = take(TeamsReceiver(), raw(text="x" * (room + 1)))
    assert refused.status == 400
    assert "Entity too large" in refused.reason
    assert take(TeamsReceiver(), raw(text="é" * (room // 2 + 1))).status == 400, "counted as UTF-8"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "TextBlock", "Column", "Action.OpenUrl", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "items", "body", "actions", "columns", "facts", "text", "card", "id", "selectAction"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_card_is_judged_without_falling_over(content: object) -> None:
    body = CARD | {"body": [content, *BODY]}
    for card in (content, body, CARD | {"actions": [content]}, CARD | {"msteams": content}):
        teams = TeamsReceiver()
        assert take(teams, orjson.dumps(message(card))).status in {202, 400}
        assert len(teams.posts) == 1


def test_cards_nested_without_end_are_refused() -> None:
    nest: dict = {"type": "TextBlock", "text": "deep"}
    for _ in range(60):
        nest = {"type": "Container", "items": [nest]}
    with pytest.raises(BadCard, match="nested"):
        adaptive_card.cards(orjson.dumps(message(CARD | {"body": [nest]})))


def test_the_address_is_the_credential_and_must_come_unchanged() -> None:
    teams = TeamsReceiver(sig="a%2Bb-_c")
    assert teams.url("http://x.example/", "hr") == "http://x.example/teams/hr?sig=a%2Bb-_c"
    assert take(teams, raw(), "sig=a%2Bb-_c").status == 202
    assert [take(teams, raw(), query).status for query in ("sig=a+b-_c", "sig=a%2bb-_c", "sig=", "")] == [403] * 4
    assert take(TeamsReceiver(), raw(), "api-version=1&sig=anything").status == 202
    assert take(TeamsReceiver(), raw(), "").status == 403


def test_an_authorization_header_is_refused() -> None:
    assert take(TeamsReceiver(), raw(), authorization="Bearer x").status == 401


def test_wrong_answers_come_as_ordered_and_show_nothing() -> None:
    teams = TeamsReceiver()
    teams.answer_with(429, retry_after=3, times=2)
    teams.answer_with(500)
    answers = [take(teams, raw(f"e{number}")) for number in range(4)]
    assert [(answer.status, answer.retry_after) for answer in answers] == [(429, 3), (429, 3), (500, None), (202, None)]
    assert [(post.event_id, post.shown) for post in teams.posts] == [
        ("e0", False),
        ("e1", False),
        ("e2", False),
        ("e3", True),
    ]
    assert teams.accepted() == {"e3": 1}
    assert answers[0].response().headers["retry-after"] == "3"


def test_an_answer_may_be_wrong_after_the_card_was_shown() -> None:
    teams = TeamsReceiver()
    teams.answer_with(504, after=True)
    assert [take(teams, raw()).status for _ in range(2)] == [504, 202]
    assert teams.accepted() == {"event-1": 2}, "this is how a message comes to be repeated"
    teams.answer_with(504, after=True)
    assert take(teams, b"{}").status == 400, "a bad message is refused all the same"


def test_quirk_accept_and_drop() -> None:
    teams = TeamsReceiver(quirks=Quirks(accept_and_drop=True))
    assert take(teams, raw()).status == 202
    assert (teams.posts[0].status, teams.posts[0].shown) == (202, False)
    assert teams.accepted() == {"event-1": 1}
    assert teams.figures() == {"last": 1, "shown": 0, "not_shown": 1}


def test_memory_is_bounded_and_numbers_go_on() -> None:
    teams = TeamsReceiver(keep=10, keep_cards=3)
    for number in range(25):
        take(teams, raw(f"e{number}"))
    assert [post.seq for post in teams.posts] == list(range(16, 26))
    assert [post.seq for post in teams.posts if post.card] == [23, 24, 25]
    assert [post.seq for post in teams.since(22)] == [23, 24, 25]
    assert [post.seq for post in teams.since(3, limit=2)] == [16, 17]
    assert [post.seq for post in teams.since(-2)] == [24, 25]
    assert teams.since(25) == []
    assert teams.figures()["shown"] == 25


async def served(teams: TeamsReceiver, path: str, method: str = "GET", **options) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(teams))
    async with httpx.AsyncClient(transport=transport, base_url="http://teams") as client:
        return await client.request(method, path, **options)


def test_over_http_the_run_id_is_a_header() -> None:
    teams = TeamsReceiver()
    answer = asyncio.run(served(teams, "/teams/soc?sig=x", "POST", content=raw()))
    assert answer.status_code == 202
    assert answer.content == b""
    assert answer.headers["x-ms-workflow-run-id"] == teams.posts[0].run_id
    refused = asyncio.run(served(teams, "/teams/soc?sig=x", "POST", content=b"{}"))
    assert refused.status_code == 400
    assert "type" in refused.json()["error"]["message"]
    denied = asyncio.run(
        served(teams, "/teams/soc?sig=x", "POST", content=raw(), headers={"Authorization": "Bearer x"})
    )
    assert denied.status_code == 401


def test_tools_read_the_posts_and_order_faults() -> None:
    teams = TeamsReceiver()
    for number in range(3):
        take(teams, raw(f"e{number}"))
    told = asyncio.run(served(teams, "/_sandbox/teams?since=1")).json()
    assert [post["event_id"] for post in told["posts"]] == ["e1", "e2"]
    assert (told["last"], told["shown"], told["not_shown"]) == (3, 3, 0)
    order = {"status": 429, "retry_after": 2, "times": 1}
    assert asyncio.run(served(teams, "/_sandbox/teams/answer", "POST", json=order)).status_code == 204
    assert [take(teams, raw()).status for _ in range(2)] == [429, 202]


def test_hanging_ends_when_the_client_gives_up() -> None:
    teams = TeamsReceiver()
    teams.hang(after=True)

    async def give_up() -> int:
        async with serving(create_app(teams)) as base, httpx.AsyncClient(timeout=0.2, trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(teams.url(base), content=raw())
            return (await client.post(teams.url(base), content=raw(), timeout=5)).status_code

    assert asyncio.run(give_up()) == 202
    assert [(post.status, post.shown) for post in teams.posts] == [(0, True), (202, True)]


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.nonces: list[str | None] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "style"}:
            self.nonces.append(given.get("nonce"))
        self.addresses += [f"{tag} {name}" for name in given if name in {"src", "href", "action"}]
        self.handlers += [name for name in given if name.startswith("on") or name == "style"]


def test_the_page_needs_nothing_from_outside_and_runs_only_its_own_script() -> None:
    teams = TeamsReceiver()
    take(teams, raw(text="<script>alert(1)</script>"))
    answers = [asyncio.run(served(teams, "/")) for _ in range(2)]
    page = Page(answers[0].text)
    policy = answers[0].headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert len(page.nonces) == 2
    assert all(nonce and f"'nonce-{nonce}'" in policy for nonce in page.nonces)
    assert page.nonces[0] not in answers[1].text, "a nonce is used once"
    assert (page.addresses, page.handlers) == ([], [])
    assert "alert(1)" not in answers[0].text, "what cards say is fetched as JSON, never written into the page"
    script = answers[0].text.partition("<script")[2]
    assert not [
        word for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(") if word in script
    ]
