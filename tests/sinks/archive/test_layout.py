"""Names of files can be read back, and no tenant escapes its folder."""

from datetime import date
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.archive import layout

TOPIC = st.from_regex(r"[a-zA-Z0-9._-]{1,60}", fullmatch=True)
NUMBER = st.integers(0, 2**63 - 1)


@given(topic=TOPIC, partition=NUMBER, offset=NUMBER, seq=NUMBER)
def test_a_data_name_tells_its_sequence_number_to_its_partition_only(topic, partition, offset, seq):
    name = layout.data_name(topic, partition, offset, seq)
    assert layout.sequence(name, topic, partition) == seq
    assert layout.sequence(name, topic, partition + 1) is None
    assert layout.sequence(name, f"{topic}-1", partition) is None
    assert layout.sequence(f"{name}.tmp", topic, partition) is None


@pytest.mark.parametrize(
    "name", ["", "t.parquet", "t-1-2.parquet", "t-1-2-x.parquet", "t-1-2-3.csv", ".t-1-2-3.parquet"]
)
def test_other_names_are_nobodys(name):
    assert layout.sequence(name, "t", 1) is None


@given(st.text(min_size=1))
def test_a_tenant_is_one_segment_that_a_file_system_takes(tenant):
    folder = layout.data_folder(tenant, date(2026, 7, 29))
    parts = PurePosixPath(folder).parts
    assert len(parts) == 3
    assert parts[0] == "enriched"
    assert parts[1].startswith("tenant=")
    assert parts[1].isascii()
    assert len(parts[1]) < 255
    assert parts[2] == "date=2026-07-29"
    if len(quote(tenant, safe="")) <= 100:
        assert unquote(parts[1].removeprefix("tenant=")) == tenant


@given(st.lists(st.text(min_size=1), unique=True, min_size=2))
def test_no_two_tenants_share_a_folder(tenants):
    assert len({layout.tenant_segment(tenant) for tenant in tenants}) == len(tenants)


@given(st.lists(st.integers(0, 10**12 - 1), unique=True))
def test_entry_names_sort_as_their_numbers_do(sequences):
    names = [layout.entry_name(seq) for seq in sequences]
    assert [layout.entry_sequence(name) for name in sorted(names)] == sorted(sequences)


@pytest.mark.parametrize("name", ["1.json", "000000000001.json.tmp", ".000000000001.json", "claim.json", ""])
def test_other_files_are_no_entries(name):
    assert layout.entry_sequence(name) is None
