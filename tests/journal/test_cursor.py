"""A cursor is either what was written, or not there."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlens.journal.cursor import Cursor, read_cursor, write_cursor
from tierlens.journal.segment import TOTALS
from tierlens.journal.totals import Totals, read_totals, write_totals

counts = st.integers(0, 2**53)
places = st.dictionaries(st.text("0123456789abcdef", min_size=16, max_size=16), st.tuples(counts, counts, counts))
cursors = st.builds(
    Cursor, counts, counts, counts, st.dictionaries(st.text("abc_"), counts), counts, counts, places, places
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursors)
def test_a_cursor_is_read_as_it_was_written(tmp_path: Path, cursor: Cursor) -> None:
    write_cursor(tmp_path / "a.cursor", cursor)

    assert read_cursor(tmp_path / "a.cursor") == cursor
    assert [path.name for path in tmp_path.iterdir()] == ["a.cursor"]


def test_a_damaged_cursor_is_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a.cursor"

    for content in (b"", b"\0" * 80, b"{}", b"[]", b'{"v":1,"segment":"x"}'):
        path.write_bytes(content)
        assert read_cursor(path) is None
    assert read_cursor(tmp_path / "missing") is None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=cursors, data=st.data())
def test_a_cursor_with_a_flipped_bit_is_itself_or_none(tmp_path: Path, cursor: Cursor, data: st.DataObject) -> None:
    path = tmp_path / "a.cursor"
    write_cursor(path, cursor)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)

    assert read_cursor(path) in (cursor, None)


def test_a_cursor_without_a_checksum_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "a.cursor"
    path.write_bytes(b'{"v":1,' + orjson.dumps(Cursor(3, 81_920, 412))[1:])

    assert read_cursor(path) is None


@pytest.mark.parametrize("wrong", [{"stored": "a"}, {"refused": {"quota": "b"}}, {"lost": []}, {"damaged": None}])
def test_totals_that_are_no_numbers_are_none(tmp_path: Path, wrong: dict[str, object]) -> None:
    write_totals(tmp_path, Totals(2, "a", 5, {"rejected": 1}, {"quota": 2}, 1))
    assert read_totals(tmp_path).stored == 5
    path = tmp_path / TOTALS
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **wrong}))

    assert read_totals(tmp_path) == Totals()
