"""Erasing lines in their place: theirs go, all others stay, and nobody who reads or writes notices."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.spans import ROUTING, span
from tierlens.errors import DamagedLine
from tierlens.journal import Journal
from tierlens.journal.chain import Chain
from tierlens.journal.codec import decode, encode
from tierlens.journal.erasing import erase, is_nothing, nothing, segments, traces_of
from tierlens.journal.follow import Follower
from tierlens.journal.forgotten import Subject
from tierlens.journal.reader import SegmentReader
from tierlens.journal.segment import segment_path, writers
from tierlens.spans import Span

GONE, KEPT = "a" * 32, "b" * 32


def written(journal: Journal, trace: str, number: int, **attributes: str) -> Span:
    made = span(number)._replace(trace_id=trace, attributes=attributes)
    journal.append(made, ROUTING)
    return made


def read(directory: Path) -> list[tuple[str, str]]:
    """Trace and span of every finished span that a reader gets, after which the reader has seen no damage."""
    found = []
    for path in segments(directory):
        reader = SegmentReader(path)
        found += [(record.line.trace, record.line.span) for record in reader.read(1 << 20, final=True)]
        assert reader.damaged == 0
        reader.close()
    return [one for one in found if one[0]]


@given(st.integers(64, 5_000))
def test_a_record_of_nothing_is_as_long_as_wanted_and_says_nothing(length: int) -> None:
    line = decode(nothing(length))

    assert len(nothing(length)) == length
    assert (line.kind, line.refused) == ("loss", {})


def test_only_their_lines_go_from_a_living_writers_segment_and_it_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resource={})
    for number in range(20):
        written(journal, GONE if number % 3 else KEPT, number)
    size = {path: path.stat().st_size for path in segments(tmp_path)}

    done = erase(tmp_path, {GONE}.__contains__, write=True)
    kept = {trace for trace, _ in read(tmp_path)}
    after = written(journal, GONE, 99)
    journal.close()

    assert done.lines == 13
    assert kept == {KEPT}
    assert [span for trace, span in read(tmp_path) if trace == GONE] == [after.span_id]
    assert all(path.stat().st_size >= before for path, before in size.items())
    assert b"a" * 32 not in next(segments(tmp_path)).read_bytes()[: next(iter(size.values()))]


def test_counting_changes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resource={})
    written(journal, GONE, 1)
    journal.close()
    before = next(segments(tmp_path)).read_bytes()

    assert erase(tmp_path, {GONE}.__contains__, write=False).lines == 1
    assert next(segments(tmp_path)).read_bytes() == before


def test_a_place_noted_earlier_says_that_it_was_erased(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resource={})
    written(journal, GONE, 1)
    journal.close()
    (writer,) = writers(tmp_path)
    chain = Chain(tmp_path, writer.name, 0, 0)
    chain.look(writer.segments, complete=True)
    (record,) = chain.read(1 << 16)
    place = (chain.segment, record.start, record.end - record.start)
    erase(tmp_path, {GONE}.__contains__, write=True)

    with pytest.raises(DamagedLine, match="erased"):
        chain.line_at(place)
    chain.close()


def test_traces_are_found_by_the_user_or_session_of_any_span(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resource={})
    written(journal, GONE, 1, **{"user.id": 'anna "a"', "note": "anna"})
    written(journal, KEPT, 2, **{"session.id": 'anna "a"', "note": "user.id"})
    journal.close()

    assert traces_of(tmp_path, {Subject("user", 'anna "a"')}.__contains__) == {GONE}
    assert traces_of(tmp_path, {Subject("session", 'anna "a"')}.__contains__) == {KEPT}


@st.composite
def damage(draw: st.DrawFn, size: int) -> tuple[int, bytes]:
    """Where, and what stands there instead: one flipped bit, a zeroed stretch, a newline where none was."""
    at = draw(st.integers(0, size - 1))
    return at, draw(st.sampled_from([b"\n", b"\x00", b"\x00" * 40, b"!"]))


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_whatever_is_damaged_theirs_go_whole_and_no_other_line_does(gone: list[bool], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = segment_path(Path(folder), "20260101T000000-1-00000001", 1)
        lines = [
            encode(
                span(number, text=f"{'anna' if each else 'bert'} {number} " * 9)._replace(trace_id=trace),
                ROUTING,
                b"{}",
            )
            for number, each in enumerate(gone)
            for trace in [GONE if each else KEPT]
        ]
        content = bytearray(b"".join(lines))
        at, found = data.draw(damage(len(content)))
        content[at : at + len(found)] = found[: len(content) - at]
        path.write_bytes(content)
        others = [one for one in _readable(path) if one == KEPT]

        erase(path.parent, {GONE}.__contains__, write=True)

        assert _readable(path) == others
        assert path.stat().st_size == len(content)
        # Whoever's line lost the beginning that says whose it is, is not guessed at.
        headless = any(
            at < end and at + len(found) > end - len(line) for line, end in _ends(lines) if at < end - len(line) + 110
        )
        assert headless or b"anna" not in path.read_bytes()


def _ends(lines: list[bytes]) -> Iterator[tuple[bytes, int]]:
    end = 0
    for line in lines:
        end += len(line)
        yield line, end


@given(st.integers(1, 700), st.booleans())
def test_an_erasure_cut_short_anywhere_is_finished_by_the_next(written_bytes: int, with_next: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = segment_path(Path(folder), "20260101T000000-1-00000001", 1)
        line = encode(span(1, text="anna " * 90)._replace(trace_id=GONE), ROUTING, b"{}")
        other = encode(span(2)._replace(trace_id=KEPT), ROUTING, b"{}") if with_next else b""
        over = nothing(len(line) - 1)
        path.write_bytes(over[:written_bytes] + line[min(written_bytes, len(over)) :] + other)

        erase(path.parent, {GONE}.__contains__, write=True)

        assert b"anna" not in path.read_bytes()
        assert _readable(path) == [KEPT] * with_next


def test_what_was_cut_short_when_its_process_died_goes_as_well(tmp_path: Path) -> None:
    path = segment_path(tmp_path, "20260101T000000-1-00000001", 1)
    path.write_bytes(encode(span(1, text="anna")._replace(trace_id=GONE), ROUTING, b"{}")[:-5])

    erase(tmp_path, {GONE}.__contains__, write=True)

    assert is_nothing(path.read_bytes())


def test_whoever_looks_on_sees_nothing_of_what_was_erased(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resource={})
    written(journal, GONE, 1)
    written(journal, KEPT, 2)
    erase(tmp_path, {GONE}.__contains__, write=True)

    follower = Follower(tmp_path)
    assert [one.line.trace for one in follower.read()] == [KEPT]
    follower.close()
    journal.close()


def _readable(path: Path) -> list[str]:
    reader = SegmentReader(path)
    found = [record.line.trace for record in reader.read(1 << 20, final=True)]
    reader.close()
    return [trace for trace in found if trace]
