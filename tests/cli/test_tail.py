"""``tierlens tail``: traces in the terminal, from the journal alone."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from tests.cli.journals import recorded
from tests.cli.running import tierlens
from tests.sinks.traces import COST, TOKENS


def test_a_finished_trace_is_shown_as_a_tree(tmp_path: Path) -> None:
    [trace] = recorded(tmp_path, "x", traces=1)

    shown = tierlens(tmp_path, "tail", "--once").out.splitlines()

    assert "brand_analytics  chain  1.2 s  100 → 20 tokens  $0.0005" in shown[0]
    assert shown[0].endswith(f"Kisqali  tr-{trace.id}")
    assert shown[1].startswith("└── agent-0  agent")
    assert shown[2].startswith("    └── model-0  chat_model")


def test_calls_cost_what_one_has_agreed_on(tmp_path: Path) -> None:
    recorded(tmp_path, "x", traces=1)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.yaml").write_text("prices: [{model: claude-*, input: 1000, output: 0}]\n")

    shown = json.loads(tierlens(tmp_path, "tail", "--once", "--json").out)

    assert shown["cost"] == pytest.approx(TOKENS["input_tokens"] / 1000)


def test_as_json_it_is_one_object_a_line(tmp_path: Path) -> None:
    traces = recorded(tmp_path, "x")

    shown = [json.loads(line) for line in tierlens(tmp_path, "tail", "--once", "--json").out.splitlines()]

    assert {trace["trace_id"] for trace in shown} == {trace.id for trace in traces}
    first = shown[0]
    assert (first["spans"], first["tokens"], first["cost"]) == (3, TOKENS, COST["total_cost"])
    assert (first["outcome"], first["duration_s"]) == ("ok", 1.25)
    call = first["roots"][0]["children"][0]["children"][0]
    day = dt.datetime.fromtimestamp(call["start_ns"] / 1e9, dt.UTC).date().isoformat()
    assert (call["kind"], call["price_date"]) == ("CHAT_MODEL", day)
    assert call["price_source"].startswith("genai-prices ")


def test_only_errors_or_one_brand_can_be_shown(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    [failed] = recorded(tmp_path, "x", traces=1, status="ERROR")

    errors = tierlens(tmp_path, "tail", "--once", "--errors", "--json").out.splitlines()

    assert [json.loads(line)["trace_id"] for line in errors] == [failed.id]
    assert tierlens(tmp_path, "tail", "--once", "--brand", "Fabhalta").out == ""
    assert len(tierlens(tmp_path, "tail", "--traces", "2", "--json").out.splitlines()) == 2


def test_what_a_span_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    from tests.cli.journals import JOURNAL
    from tests.journal.spans import ROOT, span
    from tierlens.journal.writer import Journal

    journal = Journal(tmp_path / JOURNAL, resource={})
    journal.append(span(1)._replace(name="[bold]\x1b[2J\nroot"), ROOT)
    journal.close()

    shown = tierlens(tmp_path, "tail", "--once").out

    assert "[bold] [2J root" in shown
    assert "\x1b" not in shown


def test_where_there_is_no_journal_once_has_nothing_to_show_and_says_so(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "tail", "--once", "--journal", "nowhere")

    assert (ran.code, ran.out) == (2, "")
    assert "nowhere is not there" in ran.err
