"""A cursor is either what was written, or not there."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlens.journal.cursor import Cursor, read_cursor, write_cursor

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
