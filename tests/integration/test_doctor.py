"""`tocsin doctor` against set-ups that are broken in one place each: it finds that place, and blames no other."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from events.settings import KafkaSettings
from ops import doctor, doctor_kafka, doctor_sekoia, topics
from ops.findings import Asked, Finding
from sandbox.alert_gate import POWERLESS_KEY
from tests.ingest.processes import TOKEN
from tests.integration.doctor_site import RULES, Site, site
from tests.integration.secured_kafka import PASSWORD, USER, SecuredKafka

pytestmark = pytest.mark.kafka

Break = Callable[[Site], None]


def sets(name: str, value: str) -> Break:
    return lambda site: site.env.setenv(name, site.others.get(value, value))


def posts_to(other: str) -> Break:
    return lambda site: site.env.setattr(site, "url", site.others[other])


def with_rules(text: str) -> Break:
    def how(site: Site) -> None:
        Path("other.yml").write_text(text)
        site.env.setenv("TOCSIN_RULES", "other.yml")

    return how


@dataclass(frozen=True)
class Broken:
    """One way to break the set-up, the check that must find it, and words of the cure."""

    what: str
    how: Break
    check: str
    cure: str


TEN = (
    Broken(
        "a slip of the fingers", sets("KAFKA_SASL_USERNAM", "x"), "settings.names", "rename it to KAFKA_SASL_USERNAME"
    ),
    Broken("no broker", sets("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), "kafka.address", "start the broker"),
    Broken(
        "TLS to a plain broker", sets("KAFKA_SECURITY_PROTOCOL", "SSL"), "kafka.protocol", "SECURITY_PROTOCOL=PLAINTEXT"
    ),
    Broken("no topics", sets("KAFKA_TOPIC_PREFIX", "nobody."), "topics", "tocsin topics create"),
    Broken(
        "short memory",
        sets("KAFKA_BOOTSTRAP_SERVERS", "short memory"),
        "kafka.offsets",
        "offsets.retention.minutes=20160",
    ),
    Broken("a wrong key", sets("SEKOIA_API_KEY", "wrong-key-of-somebody"), "sekoia.key", "make a new key"),
    Broken("a key without permission", sets("SEKOIA_API_KEY", POWERLESS_KEY), "sekoia.key", "SIC_READ_ALERTS"),
    Broken("one id a call", sets("SEKOIA_API_BASE", "one id a call"), "sekoia.list", "match[uuid]"),
    Broken("a proxy that reaches nothing", posts_to("502"), "hook.reach", "start ingest, and let the proxy"),
    Broken(
        "an address that was cut", sets("TEAMS_WEBHOOK_URL", "cut"), "target.teams", "make a new one at the other end"
    ),
)
MORE = (
    Broken("a value", sets("INGEST_PORT", "eighty"), "settings.values", "correct INGEST_PORT"),
    Broken("a short token", sets("INGEST_HOOKS", "soc=short"), "settings.hooks", "tocsin hooks new"),
    Broken("users on a port without", sets("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"), "kafka.authentication", "=PLAINTEXT"),
    Broken("no plain port", sets("KAFKA_BOOTSTRAP_SERVERS", "secured"), "kafka.protocol", "SECURITY_PROTOCOL=SSL (SASL_SSL"),
    Broken("a region", sets("SEKOIA_API_BASE", "http://127.0.0.1:1"), "sekoia.key", "check the region"),
    Broken("a tunnel that ended", posts_to("404"), "hook.reach", "start it anew"),
    Broken("a login before the hook", posts_to("403"), "hook.reach", "without a login"),
    Broken("a redirect", posts_to("308"), "hook.reach", "use the address it leads to"),
    Broken("a certificate of nobody", posts_to("stranger"), "hook.reach", "certificate of a public authority"),
    Broken("nothing at the port", posts_to("nothing"), "hook.reach", "start the proxy or the tunnel"),
    Broken("another token", sets("INGEST_HOOKS", f"soc={TOKEN}-of-old"), "hook.post", "restart ingest"),
    Broken("rules", sets("TOCSIN_RULES", "nowhere.yml"), "targets.rules", "tocsin rules check"),
    Broken("one way to operators", with_rules(RULES.replace("[ops, teams]", "teams")), "targets.operators", "two targets"),
    Broken("a network inside", sets("SINKS_ALLOW_NETWORKS", "192.0.2.0/24"), "targets.rules", "tocsin rules check"),
    Broken("no room", sets("INGEST_SPOOL_BYTES", str(10**15)), "machine.disk", "INGEST_SPOOL_BYTES lower"),
    Broken(
        "a clock",
        lambda site: site.env.setattr(doctor_sekoia, "time", SimpleNamespace(time=lambda: time.time() + 600)),
        "machine.clock",
        "time synchronisation",
    ),
)  # fmt: skip


def wrong(findings: list[Finding], broken: Broken) -> list[Finding]:
    """Return what was blamed that is not broken, or whose advice is no cure for it."""
    blamed = [each for each in findings if each.state in {"failed", "warning"}]
    return [each for each in blamed if each.check != broken.check or broken.cure not in each.advice]


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    broker = SecuredKafka(tmp_path_factory.mktemp("secured"), **{"offsets.retention.minutes": "1440"})
    asyncio.run(broker.start())
    broker.add_user()
    yield broker
    asyncio.run(broker.stop())


def test_ten_broken_set_ups_are_found_and_nothing_else_is_blamed(kafka_settings, secured, monkeypatch, capsys):
    found, advised_wrongly = 0, []

    async def scenario() -> None:
        nonlocal found
        async with site(kafka_settings, secured, monkeypatch) as made:
            assert [each for each in await made.examine() if each.state != "well"] == []
            for broken in TEN:
                with monkeypatch.context() as env:
                    made.env = env
                    broken.how(made)
                    findings = await made.examine()
                found += any(each.check == broken.check and broken.cure in each.advice for each in findings)
                advised_wrongly.extend((broken.what, each) for each in wrong(findings, broken))
            made.env = monkeypatch
            assert [each for each in await made.examine() if each.state != "well"] == []

    asyncio.run(scenario())
    print(f"found={found} wrong_advice={len(advised_wrongly)}")
    assert (found, advised_wrongly) == (10, [])


def test_more_that_people_get_wrong(kafka_settings, secured, monkeypatch):
    missed, advised_wrongly = [], []

    async def scenario() -> None:
        async with site(kafka_settings, secured, monkeypatch) as made:
            for broken in MORE:
                with monkeypatch.context() as env:
                    made.env = env
                    broken.how(made)
                    findings = await made.examine()
                if not any(each.check == broken.check and broken.cure in each.advice for each in findings):
                    missed.append((broken.what, findings))
                advised_wrongly.extend((broken.what, each) for each in wrong(findings, broken))

    asyncio.run(scenario())
    assert (missed, advised_wrongly) == ([], [])


# aiokafka does not wait until TLS has said goodbye, and the loop ends before it has.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("change", "check", "cure"),
    [
        ({}, "", ""),
        ({"sasl_password": "of yesterday"}, "kafka.authentication", "KAFKA_SASL_PASSWORD"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "kafka.authentication", "KAFKA_SASL_MECHANISM"),
        ({"ca_file": None}, "kafka.certificate", "KAFKA_CA_FILE"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "kafka.protocol", "KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        ({"security_protocol": "SSL"}, "kafka.authentication", "KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
    ],
)
def test_a_broker_with_tls_and_users(secured, change, check, cure, monkeypatch):
    given = {
        "security_protocol": "SASL_SSL",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
        "ca_file": str(secured.authority),
        "bootstrap_servers": secured.address,
        "replication_factor": "1",
    } | change
    for name, value in given.items():
        if value is not None:
            monkeypatch.setenv(f"KAFKA_{name.upper()}", value)

    async def look() -> list[Finding]:
        return [each async for each in doctor_kafka.look(Asked())]

    blamed = [(each.check, each.advice) for each in asyncio.run(look()) if each.state != "well"]
    if check:
        assert [name for name, _ in blamed] == [check]
        assert cure in blamed[0][1]
    else:
        assert blamed == []
        assert asyncio.run(topics.ensure(KafkaSettings(topic_prefix="secured.")))
        assert asyncio.run(topics.differences(KafkaSettings(topic_prefix="secured."))) == []


def test_as_json_it_is_one_list_and_the_exit_code_says_whether_all_is_well(capsys):
    assert doctor.run(Asked(), as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"check", "state", "found", "advice"} == set(found[0])
    assert [each["check"] for each in found if each["state"] == "failed" and not each["advice"]] == []
