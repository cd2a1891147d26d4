"""What was erased is known again by its id, from a file that names nobody."""

from __future__ import annotations

from pathlib import Path

from tests.journal.spans import ROUTING, START_NS, span
from tierlens.journal.codec import Line, decode, encode
from tierlens.journal.forgotten import Forgotten, Subject, remember

GONE, KEPT = Subject("trace", "a" * 32), Subject("trace", "b" * 32)
ANNA = Subject("user", "anna")


def line(trace: Subject, **attributes: str) -> Line:
    made = span(1)._replace(trace_id=trace.id, attributes=attributes)
    return decode(encode(made, ROUTING, b"{}").rstrip(b"\n"))


def test_what_was_forgotten_is_known_by_its_id_and_written_down_without_it(tmp_path: Path) -> None:
    forgotten = Forgotten(tmp_path)
    assert not forgotten

    remember(tmp_path, [GONE, ANNA], now_ns=1_000)
    remember(tmp_path, [Subject("session", "s-1")], now_ns=2_000)

    assert forgotten
    assert forgotten.covers(GONE)
    assert forgotten.covers(Subject("session", "s-1"), 1_999)
    assert forgotten.covers(ANNA, 999)
    assert not forgotten.covers(ANNA, 1_000), "what comes later is recorded again"
    assert not forgotten.covers(Subject("session", "anna"))
    assert not forgotten.covers(KEPT)
    text = (tmp_path / "forgotten.jsonl").read_text()
    assert GONE.id not in text
    assert "anna" not in text
    assert (tmp_path / "forgotten.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_is_known_by_its_trace_or_by_whose_span_it_is(tmp_path: Path) -> None:
    remember(tmp_path, [GONE], now_ns=START_NS + 1)
    remember(tmp_path, [ANNA, Subject("session", "s-1")], now_ns=START_NS + 1)
    forgotten = Forgotten(tmp_path)
    assert forgotten

    assert forgotten.has(line(GONE))
    assert forgotten.has(line(KEPT, **{"user.id": "anna"}))
    assert forgotten.has(line(KEPT, **{"session.id": "s-1"}))
    assert not forgotten.has(line(KEPT, **{"user.id": "bert", "note": "user.id anna"}))


def test_a_torn_line_of_the_list_costs_no_other(tmp_path: Path) -> None:
    remember(tmp_path, [ANNA], now_ns=10)
    with (tmp_path / "forgotten.jsonl").open("ab") as file:
        file.write(b'{"kind":"us')
    remember(tmp_path, [Subject("user", "bert")], now_ns=10)

    forgotten = Forgotten(tmp_path)
    assert forgotten
    assert forgotten.covers(ANNA)
    assert forgotten.covers(Subject("user", "bert"))


def test_a_list_that_was_torn_before_it_had_a_salt_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "forgotten.jsonl").write_bytes(b'{"v":1,"sal')
    remember(tmp_path, [ANNA], now_ns=10)

    forgotten = Forgotten(tmp_path)
    assert forgotten
    assert forgotten.covers(ANNA)
