"""Every undamaged line is recovered, whatever happened to the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal.spans import ROUTING, filled, is_whole, span
from tierlens.journal.codec import encode
from tierlens.journal.reader import SegmentReader

RESOURCE = b"{}"
LINES = [encode(filled(number, 40 * (number % 7 + 1)), ROUTING, RESOURCE) for number in range(12)]
CONTENT = b"".join(LINES)
ENDS = [sum(len(line) for line in LINES[: number + 1]) for number in range(len(LINES))]

many = settings(
    max_examples=int(os.environ.get("READER_CASES", "400")), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def spans_in(path: Path, about: int = 512, longest: int = 1 << 20, final: bool = True) -> tuple[list[int], int]:
    """Numbers of the spans a reader finds, and how many damaged lines it counts."""
    reader = SegmentReader(path, longest_line=longest)
    found = []
    while True:
        before = reader.offset
        records = reader.read(about, final)
        found += [int(record.line.span, 16) for record in records]
        if reader.offset == before:
            break
    reader.close()
    return found, reader.damaged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segment"


@many
@given(bits=st.lists(st.integers(0, len(CONTENT) * 8 - 1), min_size=1, max_size=6), about=st.integers(1, 4096))
def test_bit_flips_cost_only_the_lines_they_hit(path: Path, bits: list[int], about: int) -> None:
    content = bytearray(CONTENT)
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)

    found, _ = spans_in(path, about)

    assert set(found) >= untouched(bytes(content))
    assert set(found) <= set(range(len(LINES)))
    assert len(found) == len(set(found))


@many
@given(start=st.integers(0, len(CONTENT)), length=st.integers(1, 3000), about=st.integers(1, 4096))
def test_zeroes_cost_only_the_lines_they_cover(path: Path, start: int, length: int, about: int) -> None:
    zeroes = bytes(min(length, len(CONTENT) - start))
    content = CONTENT[:start] + zeroes + CONTENT[start + len(zeroes) :]
    path.write_bytes(content)

    found, damaged = spans_in(path, about)

    assert set(found) >= untouched(content)
    assert len(found) == len(LINES) or damaged > 0


@many
@given(length=st.integers(0, len(CONTENT)), about=st.integers(1, 4096))
def test_a_truncated_segment_gives_every_whole_line(path: Path, length: int, about: int) -> None:
    path.write_bytes(CONTENT[:length])

    found, damaged = spans_in(path, about)

    whole = [number for number, end in enumerate(ENDS) if end <= length + 1]
    assert found == whole
    assert damaged == (0 if length in {0, *ENDS, *(end - 1 for end in ENDS)} else 1)


def untouched(content: bytes) -> set[int]:
    """Numbers of the lines whose bytes, newline aside, are still where they were."""
    bounds = zip([0, *ENDS], ENDS, strict=False)
    return {number for number, (start, end) in enumerate(bounds) if content[start : end - 1] == LINES[number][:-1]}


def test_an_unfinished_line_of_a_living_writer_is_waited_for(path: Path) -> None:
    path.write_bytes(LINES[0] + LINES[1][:50])
    reader = SegmentReader(path)

    assert [record.line.span for record in reader.read(4096, final=False)] == [f"{0:016x}"]
    assert reader.read(4096, final=False) == []
    with path.open("ab") as segment:
        segment.write(LINES[1][50:])

    assert [record.line.span for record in reader.read(4096, final=False)] == [f"{1:016x}"]
    assert reader.damaged == 0
    reader.close()


def test_a_torn_line_is_one_damaged_line(path: Path) -> None:
    path.write_bytes(LINES[0] + LINES[1][:50] + b"\n" + LINES[2])

    assert spans_in(path) == ([0, 2], 1)


def test_damage_longer_than_any_line_is_passed_over(path: Path) -> None:
    path.write_bytes(LINES[0] + bytes(300_000) + LINES[1] + bytes(300_000))

    found, damaged = spans_in(path, about=1024, longest=64 << 10)

    assert found == [0, 1]
    assert damaged > 0


def test_a_line_much_longer_than_a_read_is_read_whole(path: Path) -> None:
    long = span(99, text="x" * 500_000)
    path.write_bytes(LINES[0] + encode(long, ROUTING, RESOURCE) + LINES[1])

    assert spans_in(path, about=64) == ([0, 99, 1], 0)


def test_records_say_which_bytes_they_deal_with(path: Path) -> None:
    path.write_bytes(CONTENT)
    reader = SegmentReader(path)

    records = reader.read(1 << 20, final=True)

    assert [record.end for record in records] == ENDS
    assert all(
        reader.line_at(record.start, record.end - record.start).payload == record.line.payload for record in records
    )
    reader.close()


def test_filled_spans_tell_whether_they_are_whole() -> None:
    text = str(filled(3, 100).attributes["mlflow.spanInputs"])

    assert is_whole(text)
    assert not is_whole(text[:-1])
