"""What can be wrong with a record or a start, one exception per meaning."""


class MalformedRecord(ValueError):
    """The bytes are not what the topic promises; trying again cannot help, the record is a dead letter."""


class NotReady(RuntimeError):
    """Something this process needs is missing; the message is one sentence for the person who started it."""
