"""The card of `tocsin connect`: a real alert, plainly a test, and an address that is checked first."""

import asyncio
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from events.errors import NotReady
from ops import trial_card
from sandbox import adaptive_card, receivers
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sinks.destinations.teams import card

NOW = datetime(2026, 7, 29, 8, 6, tzinfo=UTC)


def alert() -> dict:
    tenant = Tenant(1, odd_every=0)
    uuid = tenant.create_alert(title="Credential dumping", short_id="ALq7Zt3Kx9Pd")["attributes"]["uuid"]
    return tenant.alerts[uuid]


def test_the_card_is_marked_and_links_to_the_alert():
    shown = card(trial_card.draw(alert(), "https://app.sekoia.io", NOW))
    content = shown["attachments"][0]["content"]
    assert content["body"][0]["text"] == "TEST: Credential dumping"
    assert "is not news" in str(content)
    assert content["actions"][0]["url"] == "https://app.sekoia.io/operations/alerts/ALq7Zt3Kx9Pd"


@pytest.mark.parametrize("shape", [None, {}, {"title": None, "details": 7, "short_id": ["x"], "uuid": None}])
def test_a_strange_alert_or_none_makes_a_card_too(shape):
    shown = card(trial_card.draw(shape, "https://app.sekoia.io", NOW))
    assert shown["attachments"][0]["content"]["body"][0]["text"].startswith("TEST: ")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://contoso.webhook.office.com/webhookb2/secret", "Send webhook alerts to a channel"),
        ("https://prod-1.westeurope.logic.azure.com/secret", "no longer work"),
        ("http://example.org/secret", "https"),
        ("secret", "absolute https"),
    ],
)
def test_an_address_that_cannot_work_is_refused_without_repeating_it(url, says, monkeypatch):
    monkeypatch.delenv("SINKS_ALLOW_NETWORKS")
    with pytest.raises(NotReady, match=says) as caught:
        trial_card.settings(SecretStr(url))
    assert "secret" not in str(caught.value)


def test_the_receiver_shows_it_and_a_refusal_is_one_sentence():
    teams = TeamsReceiver(sig="right")

    async def scenario() -> str:
        async with serving(receivers.create_app(teams)) as base:
            status = await trial_card.send(trial_card.settings(SecretStr(teams.url(base))), alert(), "https://app")
            with pytest.raises(NotReady, match=r"did not take the test card \(HTTP 403"):
                await trial_card.send(
                    trial_card.settings(SecretStr(f"{base}/teams/soc?sig=wrong")), None, "https://app"
                )
            return status

    assert asyncio.run(scenario()) == "HTTP 202"
    assert [post.shown for post in teams.posts] == [True, False]
    assert teams.posts[0].card["body"][0]["id"].startswith("test/")
    assert teams.posts[0].card["version"] == adaptive_card.VERSION
