"""The inventory of what operators are told: each condition with its words, its runbook entry, and how long it may last."""

from dataclasses import dataclass
from typing import Literal

PAGE = "docs/runbook.md"


@dataclass(frozen=True)
class Condition:
    """One thing that can be wrong, of one subject or of the whole."""

    name: str
    entry: str
    """Heading of its entry in docs/runbook.md."""
    critical: bool
    raised: str
    """Title when it begins; `{subject}` is the room, target, group or disk."""
    recovered: str
    meaning: str
    waits: Literal["at once", "patience"] = "at once"
    """Whether it is told at once, or when it has lasted for WATCH_PATIENCE."""
    of_target: bool = False
    """Whether its subject is a target, or a group that may be one's: that target then is not told of it."""

    @property
    def runbook(self) -> str:
        """The place in the documents that says what to do."""
        return f"{PAGE}#{self.entry.lower()}"


_ALL = (
    Condition(
        "kafka_away", "TocsinKafkaAway", True, "Kafka does not answer", "Kafka answers again",
        "Webhooks wait in the spool, and nobody is told of them. This message came past Kafka.", "patience",
    ),
    Condition(
        "topics_missing", "TocsinTopicsMissing", True, "Topics are missing from Kafka", "All topics are in Kafka again",
        "Rooms that need them end, and what was in them is gone, unless the brokers get their disks back; or the Kafka user of "
        "the watch may not see them.", "patience",
    ),
    Condition(
        "room_down", "TocsinRoomDown", True, "{subject} does not answer", "{subject} answers again",
        "Nothing is lost meanwhile: webhooks wait in the spool, records in Kafka. If it is ingest, senders are refused.",
        "patience",
    ),
    Condition(
        "room_restarting", "TocsinRoomRestarting", False, "{subject} is started again and again",
        "{subject} runs steadily again", "It ends when it meets what it cannot handle, without committing, and meets it again.",
    ),
    Condition(
        "spool_in_use", "TocsinSpoolInUse", False, "Webhooks wait in the spool of {subject}",
        "The spool of {subject} is empty again", "Kafka does not acknowledge in time. Senders are answered as before.",
        "patience",
    ),
    Condition(
        "webhooks_refused", "TocsinWebhooksRefused", True, "{subject} answered webhooks with 503",
        "{subject} takes webhooks again",
        "Neither Kafka nor the spool took them; it is up to the sender whether they come again.",
    ),
    Condition(
        "disk_low", "TocsinSpoolDiskLow", True, "A disk is nearly full: {subject}", "The disk has room again: {subject}",
        "When it is full and Kafka is away, events can be lost.",
    ),
    Condition(
        "webhooks_silent", "TocsinWebhooksSilent", True, "No webhook comes, and the Alert API shows new alerts",
        "Webhooks come again", "The catch-up feeds them, late: a notification rule is gone, or nothing reaches ingest.",
    ),
    Condition(
        "api_key_refused", "TocsinAlertApiKeyRefused", True, "The Alert API refuses the key",
        "The Alert API takes the key again",
        "Notifications go out without details and are completed when the key is good.",
    ),
    Condition(
        "api_key_expiring", "TocsinApiKeyExpiring", False, "The API key ends within 14 days", "The API key is good for longer",
        "When it has ended, notifications go out without title and urgency.",
    ),
    Condition(
        "breaker_open", "TocsinAlertApiBreakerOpen", False, "The Alert API is not asked, because of its errors",
        "The Alert API is asked again", "Notifications go out without details and are completed later.", "patience",
    ),
    Condition(
        "late", "TocsinGroupLate", False, "{subject} is late", "{subject} has caught up",
        "A stage or target reads more slowly than records come, or not at all.", "patience", of_target=True,
    ),
    Condition(
        "target_unavailable", "TocsinTargetUnavailable", True, "{subject} cannot be reached", "{subject} takes messages again",
        "Its events wait in Kafka, urgent ones first. Tell its readers by another way.", "patience", of_target=True,
    ),
    Condition(
        "target_paused", "TocsinTargetPaused", True, "{subject} is paused: its address is gone for good",
        "{subject} is not paused any more", "Nothing is sent to it until it is started with another address.",
        of_target=True,
    ),
    Condition(
        "canary_missed", "TocsinCanaryMissed", True, "Nobody can say that {subject} shows its messages",
        "{subject} shows its messages", "It accepts them; whether they are seen is not proved any more.", of_target=True,
    ),
    Condition(
        "dead_letter", "TocsinDeadLetters", False, "Records were buried", "No more records are buried",
        "They could not be decoded or delivered, and trying again does not help as long as nothing changes.",
    ),
    Condition(
        "rules_refused", "TocsinRulesRefused", False, "The rules file has a mistake; {subject} keeps the rules it had",
        "{subject} follows the rules file again", "What was changed does not count until the file is right.",
    ),
)  # fmt: skip

CONDITIONS = {each.name: each for each in _ALL}


@dataclass(frozen=True)
class Seen:
    """What one look says of a condition; `bad` is None where nobody knows."""

    bad: bool | None
    detail: str = ""
    gone: bool = False
    """Whether it is not bad only because there is nothing left to look at."""


def key_of(condition: str, subject: str = "") -> str:
    """Return the name under which a condition of a subject is remembered, and the key of its records."""
    return f"{condition}/{subject}" if subject else condition


def split(key: str) -> tuple[Condition, str]:
    """Return a key's condition and subject."""
    name, _, subject = key.partition("/")
    return CONDITIONS[name], subject
