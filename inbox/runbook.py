"""What a red state on the pipeline page means, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One entry of the runbook; `#name` is its address on the page."""

    title: str
    meaning: str
    todo: tuple[str, ...]


ENTRIES: dict[str, Entry] = {
    "room-away": Entry(
        "A room does not answer",
        "Its private port is closed or slow. Nothing is lost meanwhile: webhooks wait in the spool, records in Kafka.",
        (
            "Look whether the process runs, and what its log ends with.",
            "Where it runs elsewhere, tell this page with INBOX_ROOMS.",
            "Started again, it goes on where it stopped.",
        ),
    ),
    "not-ready": Entry(
        "A room is not ready",
        "It runs, but cannot do its work just now; the reason is what it says about itself.",
        (
            "A reason that names Kafka passes when the cluster is back.",
            "Any other reason names a setting or a file to correct; `tocsin doctor` looks at all of them.",
        ),
    ),
    "kafka-away": Entry(
        "Kafka does not answer",
        "No lag can be read. Ingest goes on into its spool and answers senders as before.",
        (
            "Look at the brokers; `tocsin doctor` says what they answer.",
            "Nothing has to be repeated afterwards: rooms read on from their offsets.",
        ),
    ),
    "lag": Entry(
        "A group falls behind",
        "Records are read slower than they come, or not at all. The oldest one waits longer than it should.",
        (
            "`tocsin targets list` shows what waits for each target, and where it stands.",
            "A target that is unavailable holds only itself up; its backlog is delivered when it answers again.",
            "A stream that falls behind needs another worker, up to one per partition.",
            "Retention bounds the wait: the enriched topic keeps 30 days, the raw topic 14.",
        ),
    ),
    "spool": Entry(
        "Webhooks wait in the spool",
        "Kafka did not acknowledge in time, so they were written to this host's disk. They follow in order.",
        ("Look at the brokers, not at ingest.", "When the spool is full, senders get 503 and events can be lost."),
    ),
    "unavailable": Entry(
        "A target cannot be reached",
        "Its address refuses or does not answer. Events wait in Kafka, urgent ones go first when it is back.",
        (
            "Open the target's own status page.",
            "`tocsin targets list` shows what waits for it.",
            "Was its address or secret changed? Correct it in the rules file.",
        ),
    ),
    "breaker": Entry(
        "The Alert API is given a rest",
        "Two errors came within ten seconds, so calls pause; the vendor's firewall blocks who goes on. Notifications "
        "are sent without details and completed later.",
        ("It closes by itself, at the latest ten minutes after the API answers again.", "401 or 403: the key expired."),
    ),
    "dead-letters": Entry(
        "Records were buried",
        "They could not be decoded or delivered, and trying again cannot help as long as nothing changes.",
        (
            "`tocsin dead-letters list` shows them by cause, `tocsin dead-letters show` one of them.",
            "Correct the cause, then `tocsin dead-letters redrive`: each goes out at most once.",
        ),
    ),
}
