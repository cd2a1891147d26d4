from __future__ import annotations

from pathlib import Path

from tests.cli.journals import JOURNAL
from tests.cli.running import tierlens
from tests.projection.works import COST, MODEL, work
from tierlens import keys
from tierlens.journal import Journal
from tierlens.testing.http_stub import HttpStub
from tierlens.testing.mlflow_stub import MlflowStub


def recorded(folder: Path) -> None:
    with_calls = [
        work(4, "CHAT_MODEL", parent=2, said=MODEL),
        work(5, "CHAT_MODEL", parent=2, error="ValueError", said={**MODEL, keys.OUTCOME: "error"}),
        work(2, "AGENT", parent=1, name="explainer", said={keys.TIER: 5}),
        work(1, root=True),
        work(7, "CHAT_MODEL", root=True, trace=2, brand="Fabhalta", said=MODEL, seconds=1.0),
    ]
    journal = Journal(folder / JOURNAL, resource={})
    journal.append_start(*work(2, "AGENT", parent=1, name="explainer", said={keys.TIER: 5}, open_=True), lambda: True)
    for span, routing in with_calls:
        journal.append(span, routing)
    journal.close()


def test_what_lies_in_the_journal_is_shown_by_agent_and_model(tmp_path: Path) -> None:
    recorded(tmp_path)

    found = tierlens(tmp_path, "metrics", "--json").json

    calls = found.pop("calls")
    assert [one.pop("cost_usd") for one in calls] == [COST, 2 * COST]
    assert calls == [
        {
            "brand": "Fabhalta",
            "agent": "",
            "tier": "",
            "model": "claude-sonnet-4-5",
            "calls": 1,
            "outcomes": {"ok": 1},
            "seconds": 1.0,
            "input": 100,
            "output": 20,
        },
        {
            "brand": "Kisqali",
            "agent": "explainer",
            "tier": "5",
            "model": "claude-sonnet-4-5",
            "calls": 2,
            "outcomes": {"ok": 1, "error": 1},
            "seconds": 4.0,
            "input": 200,
            "output": 40,
        },
    ]
    assert (found["accepted"], found["stored"], found["pending"], found["refused"]) == (5, 0, 5, {})
    assert found["lag_s"] > 0


def test_the_table_has_the_same_figures(tmp_path: Path) -> None:
    recorded(tmp_path)

    shown = tierlens(tmp_path, "metrics")

    assert shown.code == 0
    rows = [line.split() for line in shown.out.splitlines() if line.strip()]
    assert ["Kisqali", "explainer", "5", "claude-sonnet-4-5", "2", "1", "200", "40", "0.0009", "2.00"] in rows
    assert ["pending", "5"] in rows


def test_calls_cost_what_one_has_agreed_on(tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/prices.yaml").write_text(
        "prices:\n  - {model: claude-sonnet-4-5, input: 1000, output: 0, cache_read: 0, cache_write: 0}\n"
    )

    found = tierlens(tmp_path, "metrics", "--json").json

    assert [round(one["cost_usd"], 6) for one in found["calls"]] == [0.03, 0.06]


def test_calls_without_a_price_have_no_cost(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={})
    journal.append(*work(1, "CHAT_MODEL", root=True, said={**MODEL, keys.MODEL: "in-house-7b"}))
    journal.close()

    [told] = tierlens(tmp_path, "metrics", "--json").json["calls"]
    shown = tierlens(tmp_path, "metrics").out

    assert (told["calls"], told["cost_usd"]) == (1, None)
    assert ["Kisqali", "in-house-7b", "1", "0", "100", "20", "2.00"] in [line.split() for line in shown.splitlines()]


def test_who_drains_pushes_the_figures(tmp_path: Path) -> None:
    recorded(tmp_path)
    with MlflowStub() as mlflow, HttpStub() as receiver:
        ran = tierlens(
            tmp_path,
            "journal",
            "drain",
            MLFLOW_TRACKING_URI=mlflow.uri,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.uri}/v1/metrics",
        )

    assert (ran.code, len(receiver.requests)) == (0, 1)
    assert b"gen_ai.client.token.usage" in receiver.requests[0].body


def test_looking_moves_nothing(tmp_path: Path) -> None:
    recorded(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / JOURNAL).iterdir() if path.is_file()}

    tierlens(tmp_path, "metrics")

    assert {path.name: path.read_bytes() for path in (tmp_path / JOURNAL).iterdir() if path.is_file()} == before


def test_a_journal_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "metrics", "--journal", "nowhere")

    assert ran.code == 2
    assert "is not there" in ran.err
