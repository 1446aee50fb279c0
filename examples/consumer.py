"""Follow the enriched topic: print each event with the title of its alert, and go on next time where this one stopped."""

import asyncio

from aiokafka import AIOKafkaConsumer

from events.codec import decode_enriched
from events.settings import KafkaSettings
from events.topics import Topics


async def main() -> None:
    kafka = KafkaSettings()  # KAFKA_BOOTSTRAP_SERVERS and its kin, from the environment or .env
    place = {"group_id": kafka.group("my-analytics"), "auto_offset_reset": "earliest", "enable_auto_commit": False}
    topic, options = Topics(kafka.topic_prefix).enriched, kafka.client_options()
    async with AIOKafkaConsumer(topic, **options, **place, isolation_level="read_committed") as consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                for event in (decode_enriched(record.value) for record in records):
                    title = (event.alert or {}).get("title")
                    print(event.event_id, event.revision, event.event.type, title, flush=True)
            await consumer.commit()  # after the work: a crash repeats some events, and loses none


asyncio.run(main())
