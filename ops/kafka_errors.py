"""What a cluster may answer that no verb can do anything about, as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings


@contextmanager
def told(kafka: KafkaSettings) -> Iterator[None]:
    """Raise NotReady instead of what the Kafka client raises: refused, timed out, gone."""
    try:
        yield
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    except KafkaError as error:
        raise NotReady(f"Kafka at {kafka.bootstrap_servers} does not do its part: {error!r}.") from error
