"""Columns of bytes are laid out by hand: they must be what Arrow would have made of them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.archive import shapes

TEXTS = st.lists(st.text().map(str.encode), min_size=1)


@given(TEXTS)
def test_a_column_of_texts_given_as_bytes(values: list[bytes]) -> None:
    made = shapes._column(tuple(values), pa.string())
    made.validate(full=True)
    assert made.equals(pa.array([value.decode() for value in values], pa.string()))


@given(st.lists(st.binary() | st.none(), min_size=1))
def test_a_column_of_bytes_and_tombstones(values: list[bytes | None]) -> None:
    made = shapes._column(tuple(values), pa.binary())
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.binary()))


@given(TEXTS)
def test_more_than_places_of_32_bits_can_name(values: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_AT_MOST", 2)
        assert shapes._column(tuple(values), pa.string()).to_pylist() == [v.decode() for v in values]
