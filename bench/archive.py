"""How fast the archive's own work is on one core: from the bytes of Kafka to a file that counts (`python -m bench.archive`)."""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa

from events.codec import decode_enriched
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

GOLDEN = Path(__file__).parents[1] / "tests" / "events" / "golden" / "enriched" / "complete.json"


@dataclass
class Record:
    """What the archive needs of a record of Kafka."""

    offset: int
    value: bytes


def records(count: int) -> list[Record]:
    """Make enriched records of the golden one's size, each about another event, over a day."""
    body = orjson.loads(GOLDEN.read_bytes())
    begin = datetime(2026, 7, 29, tzinfo=UTC)
    made = []
    for number in range(count):
        body["event_id"] = f"c07d5b18-64fa-4f3e-9a21-7be0d3f5a961/{number:032x}"
        body["received_at"] = (begin + timedelta(seconds=number / count * 86_000)).isoformat()
        body["event"]["attributes"]["uuid"] = f"{number // 3:032x}"
        made.append(Record(number, orjson.dumps(body)))
    decode_enriched(made[0].value)
    return made


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.archive", description=main.__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--flush", type=int, default=50_000, help="records of a file, as ARCHIVE_FLUSH_RECORDS")
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    made = records(given.flush)
    size = sum(len(each.value) for each in made) / len(made)
    with tempfile.TemporaryDirectory() as folder:
        writer = PartitionWriter(Folder(Path(folder)), "t", 0, "bench")
        writer.claim(log_start=0, log_end=given.events)
        wall, cpu, done, written = 0.0, 0.0, 0, 0
        while done < given.events:
            batch = [Record(done + each.offset, each.value) for each in made]  # a consumer's work, not the archive's
            wall, cpu = wall - time.perf_counter(), cpu - time.process_time()
            files = writer.write(batch).files
            writer.commit(done + len(batch), files)
            wall, cpu = wall + time.perf_counter(), cpu + time.process_time()
            done += len(batch)
            written += sum(file.bytes for file in files)
    print(
        f"events={done} bytes_per_event={size:.0f} events_per_s={done / wall:.0f} "
        f"events_per_cpu_s={done / cpu:.0f} archived_bytes_per_event={written / done:.1f}"
    )


if __name__ == "__main__":
    main()
