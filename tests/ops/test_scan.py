"""Reading Kafka: whatever a cluster or another producer compresses its batches with can be read."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

BY_NUMBER = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@pytest.mark.parametrize("codec", BY_NUMBER)
def test_a_batch_of_any_codec_can_be_read(codec: str) -> None:
    """A broker or a topic with `compression.type` set would end every room otherwise."""
    options = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1}
    builder = DefaultRecordBatchBuilder(2, BY_NUMBER[codec], batch_size=100_000, **options)
    for offset in range(100):
        builder.append(offset, 1, key=b"k", value=b"value" * 100, headers=[])
    batch = MemoryRecords(bytes(builder.build())).next_batch()
    assert [record.value for record in batch] == [b"value" * 100] * 100
