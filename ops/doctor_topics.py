"""The doctor's look at the topics, and at the settings of the brokers on which the pipeline's promises rest."""

from collections.abc import AsyncIterator, Iterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import contract
from ops import topics
from ops.findings import Asked, Finding, failed, skipped, split, warning, well

MS_PER_MINUTE = 60_000


async def look(_asked: Asked) -> AsyncIterator[Finding]:
    """Compare the topics with the contract, then ask each broker how long it remembers the place of a group."""
    kafka = KafkaSettings()
    try:
        lines = await topics.differences(kafka)
    except NotReady:  # what is wrong with Kafka stands in its own checks
        yield skipped("topics", "not looked at: Kafka could not be asked.")
        return
    for line in lines:
        topic, _, difference = line.partition(": ")
        finding = split("topics", difference, "run `tocsin topics check`.")
        yield failed("topics", f"{topic}: {finding.found}", finding.advice)
    if not lines:
        yield well("topics", f"all {len(contract(kafka))} are as they must be.")
    for number, config in (await topics.asked(kafka, _brokers)).items():
        for finding in _of_broker(kafka, number, config):
            yield finding


async def _brokers(admin: AIOKafkaAdminClient) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for broker in (await admin.describe_cluster())["brokers"]:
        number = broker["node_id"]
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(number))])
        for answer in answers:
            for _code, _message, _type, _name, entries, *_ in answer.resources:
                found.setdefault(number, {}).update({entry[0]: entry[1] for entry in entries})
    return found


def _of_broker(kafka: KafkaSettings, number: int, config: dict[str, str]) -> Iterator[Finding]:
    needed = int(contract(kafka)[0].config["retention.ms"]) // MS_PER_MINUTE  # of the raw topic, the first
    kept = config.get("offsets.retention.minutes")
    if kept is None:
        yield skipped("kafka.offsets", f"broker {number} does not show its settings to this user.")
        return
    if int(kept) < needed:
        yield failed(
            "kafka.offsets",
            f"broker {number} forgets the place of a group that stands still for {int(kept) / 1440:.1f} days "
            f"(offsets.retention.minutes={kept}), and the raw topic is kept for {needed / 1440:.0f}",
            f"set offsets.retention.minutes={needed} or more in the properties of every broker and restart them one after "
            "another; it cannot be changed while they run.",
        )
    else:
        yield well("kafka.offsets", f"broker {number} remembers the place of a group for {int(kept) / 1440:.0f} days.")
    if config.get("auto.create.topics.enable") == "true":
        yield warning(
            "kafka.auto-create",
            f"broker {number} makes topics nobody created, with other partitions and settings",
            "set auto.create.topics.enable=false in the properties of every broker and restart them one after another.",
        )
