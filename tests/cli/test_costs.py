"""``tierlens costs`` says what the spans say, before and after delivery."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import secrets
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.journals import JOURNAL, recorded
from tests.cli.running import tierlens
from tests.conftest import StoredMlflow
from tests.sinks.traces import COST, Trace, agent_trace
from tierlens import keys
from tierlens.cli.costs import beginning_ns
from tierlens.errors import ConfigError
from tierlens.journal.writer import Journal
from tierlens.spans import AttributeValue, Routing
from tierlens.testing import MemorySink
from tierlens.upkeep.drain import drain

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
PUBLISHED = f"genai-prices {importlib.metadata.version('genai-prices')}"
PEAK = """
import sys, tracemalloc
from pathlib import Path
from tierlens.cli.spans_read import from_journal
from tierlens.projection.prices import PriceBook

calls = sum(1 for _ in from_journal(Path(sys.argv[1]), PriceBook()))  # before it is measured: this loads the prices
tracemalloc.start()
list(from_journal(Path(sys.argv[1]), PriceBook()))
print(calls, tracemalloc.get_traced_memory()[1])
"""
UNCOUNTED = ("unpriced_calls", "uncounted_calls", "estimated_calls")


def told(trace: Trace, name: str, **attributes: AttributeValue | None) -> Trace:
    """The trace with other attributes on its spans of that name; None takes one away."""
    changed = {key.replace("__", "."): value for key, value in attributes.items()}
    return Trace(
        tuple(
            span._replace(attributes={k: v for k, v in {**span.attributes, **changed}.items() if v is not None})
            if span.name == name
            else span
            for span in trace.spans
        )
    )


def written(folder: Path, experiment: str, brand: str, *traces: Trace, where: str = JOURNAL) -> None:
    journal = Journal(folder / where, resource={"service.name": "tests"})
    for trace in traces:
        for span in reversed(told(trace, "brand_analytics", **{f"{keys.TRACE_TAG}brand": brand}).spans):
            journal.append(span, Routing(experiment, brand, root=span.parent_id is None))
    journal.close()


def three(folder: Path, experiment: str, brand: str) -> tuple[Trace, ...]:
    """Two agents each; one call has no price, one no tokens, one tells its thinking and is a guess."""
    plain = agent_trace(agents=2)
    unpriced = told(agent_trace(agents=2), "model-1", mlflow__llm__model="in-house-7b", mlflow__llm__provider="nobody")
    finer = {keys.FINER_USAGE: json.dumps({"reasoning.output_tokens": 5}), keys.TOKENS_ESTIMATED: True}
    odd = told(told(agent_trace(agents=2), "model-1", mlflow__chat__tokenUsage=None), "model-0", **finer)
    written(folder, experiment, brand, plain, unpriced, odd)
    return plain, unpriced, odd


def days(*traces: Trace) -> list[str]:
    """The first and the last on which a call was made, UTC."""
    starts = [span.start_ns for trace in traces for span in trace.spans if span.name.startswith("model-")]
    return sorted({dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).date().isoformat() for ns in (min(starts), max(starts))})


def calls_to(model: str, traces: Iterable[Trace]) -> set[str]:
    """As ``costs --by call`` names them."""
    spans = (span for trace in traces for span in trace.spans)
    return {f"tr-{span.trace_id}/{span.span_id}" for span in spans if span.attributes.get(keys.MODEL) == model}


def costs(folder: Path, *arguments: str, uri: str = "", **variables: str) -> Any:
    ran = tierlens(folder, "costs", "--json", *arguments, MLFLOW_TRACKING_URI=uri or "sqlite:///x.db", **variables)
    assert ran.code == 0, ran.err
    return ran.json


def test_calls_are_summed_up_from_the_journal(tmp_path: Path) -> None:
    traces = three(tmp_path, "app/Kisqali", "Kisqali")

    found = costs(tmp_path, "--journal", JOURNAL)

    assert found["total"] == {
        "calls": 6, "input": 500, "cache_read": 300, "cache_write": 50, "cache_write_1h": 50, "output": 100,
        "reasoning": 5, "cost_usd": pytest.approx(4 * COST["total_cost"]),
        "unpriced_calls": 1, "uncounted_calls": 1, "estimated_calls": 1,
        "price_dates": days(*traces), "price_sources": [PUBLISHED],
    }  # fmt: skip
    assert {row["model"]: row["calls"] for row in found["rows"]} == {"claude-sonnet-4-5": 5, "in-house-7b": 1}


@pytest.mark.parametrize("by", ["call", "agent", "tier", "brand", "session", "model", "prompt"])
def test_every_way_of_summing_up_comes_to_the_same_total(tmp_path: Path, by: str) -> None:
    three(tmp_path, "app/Kisqali", "Kisqali")

    found = costs(tmp_path, "--journal", JOURNAL, "--by", by)

    prices = {name: found["total"].pop(name) for name in ("price_dates", "price_sources")}
    for name, total in prices.items():
        assert sorted({one for row in found["rows"] for one in row[name]}) == total
    for name, total in found["total"].items():
        figures = [row[name] for row in found["rows"] if row[name] is not None]
        assert (sum(figures) if figures else None) == (total if total is None else pytest.approx(total))


def test_a_call_belongs_to_the_agent_around_it(tmp_path: Path) -> None:
    three(tmp_path, "app/Kisqali", "Kisqali")

    rows = costs(tmp_path, "--journal", JOURNAL, "--by", "agent")["rows"]

    assert {row["agent"]: (row["calls"], row["unpriced_calls"]) for row in rows} == {
        "agent-0": (3, 0),
        "agent-1": (3, 1),
    }


def test_a_journal_need_not_fit_into_memory(tmp_path: Path) -> None:
    written(tmp_path, "app/Kisqali", "Kisqali", *(agent_trace(question="why " * 25_000) for _ in range(200)))
    size = sum(path.stat().st_size for path in (tmp_path / JOURNAL).glob("*.jsonl"))

    # In a process of its own: another test's thread may still be at work in this one.
    measured = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / JOURNAL)], capture_output=True, text=True, check=True, timeout=60
    )

    calls, most = map(int, measured.stdout.split())
    assert calls == 200
    assert most < size / 2


def test_a_model_without_a_price_is_shown_and_never_costs_nothing(tmp_path: Path) -> None:
    three(tmp_path, "app/Kisqali", "Kisqali")

    shown = tierlens(tmp_path, "costs", "--journal", JOURNAL)

    assert "1 of 6 calls have no known price and are not in the cost; config/prices.yaml can give one" in shown.out
    (row,) = (line.split() for line in shown.out.splitlines() if "in-house-7b" in line)
    assert row == ["in-house-7b", "1", "100", "60", "10", "10", "20", "1"]


def test_prices_of_ones_own_count(tmp_path: Path) -> None:
    three(tmp_path, "app/Kisqali", "Kisqali")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.yaml").write_text("prices: [{model: in-house-*, input: 10, output: 100}]\n")

    found = costs(tmp_path, "--journal", JOURNAL)

    assert found["total"]["unpriced_calls"] == 0
    assert found["total"]["cost_usd"] == pytest.approx(4 * COST["total_cost"] + (100 * 10 + 20 * 100) / 1e6)


@pytest.mark.server
def test_each_call_says_of_which_day_and_from_where_its_price_is(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    brand = f"brand-{secrets.token_hex(4)}"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.yaml").write_text("prices: [{model: in-house-*, input: 10, output: 100}]\n")
    traces = three(tmp_path, experiment, brand)
    (day, *_) = days(*traces)

    waiting = costs(tmp_path, "--by", "call", "--journal", JOURNAL)["rows"]
    assert tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI=mlflow_server.uri).code == 0
    stored = costs(tmp_path, "--by", "call", "--brand", brand, uri=mlflow_server.uri)["rows"]
    shown = tierlens(tmp_path, "costs", "--by", "call", "--brand", brand, MLFLOW_TRACKING_URI=mlflow_server.uri).out
    summed = tierlens(tmp_path, "costs", "--brand", brand, MLFLOW_TRACKING_URI=mlflow_server.uri).out

    in_house = calls_to("in-house-7b", traces)
    for row in waiting:
        source = "config/prices.yaml" if row["call"] in in_house else PUBLISHED
        said = ([], []) if row["cost_usd"] is None else ([day], [source])
        assert (row["price_dates"], row["price_sources"]) == said
    assert (len(in_house), stored) == (1, waiting)
    assert all(row["call"] in shown for row in waiting)
    assert f"{day}    {PUBLISHED}" in shown
    assert f"prices of {day}: config/prices.yaml, {PUBLISHED}" in summed


@pytest.mark.server
def test_what_mlflow_puts_on_a_call_without_a_price_is_no_cost_of_ours(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    brand = f"brand-{secrets.token_hex(4)}"
    of_tier = {keys.MODEL: "gpt-4o", keys.PROVIDER: "openai", keys.SERVICE_TIER: "flex"}
    itself = told(agent_trace(), "model-0", mlflow__llm__cost='{"total_cost": 0.25}')
    written(tmp_path, experiment, brand, told(agent_trace(), "model-0", **of_tier), itself)

    waiting = costs(tmp_path, "--by", "call", "--journal", JOURNAL)
    assert tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI=mlflow_server.uri).code == 0

    assert costs(tmp_path, "--by", "call", "--brand", brand, uri=mlflow_server.uri) == waiting
    total = waiting["total"]
    assert (total["unpriced_calls"], total["cost_usd"]) == (1, 0.25)
    assert (total["price_dates"], total["price_sources"]) == ([], ["the call itself"])


@pytest.mark.server
def test_mlflow_tells_the_same_also_when_delivered_again(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    brand = f"brand-{secrets.token_hex(4)}"
    traces = three(tmp_path, experiment, brand)
    before = {by: costs(tmp_path, "--journal", JOURNAL, "--by", by) for by in ("model", "agent", "session", "call")}

    three(tmp_path, experiment, f"{brand}-other")
    for where in (JOURNAL, "again"):
        written(tmp_path, experiment, brand, *traces, where="again")
        ran = tierlens(tmp_path, "ship", "--once", "--journal-dir", where, MLFLOW_TRACKING_URI=mlflow_server.uri)
        assert ran.code == 0, ran.err
        for by, wanted in before.items():
            assert costs(tmp_path, "--by", by, "--brand", brand, uri=mlflow_server.uri) == wanted
    since = ("--since", "1h", "--brand", brand)
    assert costs(tmp_path, *since, uri=mlflow_server.uri) == before["model"]
    assert costs(tmp_path, "--since", "2100-01-01", uri=mlflow_server.uri)["total"]["calls"] == 0


def test_a_database_tells_the_same(tmp_path: Path) -> None:
    three(tmp_path, "app/Kisqali", "Kisqali")
    before = {by: costs(tmp_path, "--journal", JOURNAL, "--by", by) for by in ("agent", "call")}

    ran = tierlens(tmp_path, "ship", "--once")
    assert ran.code == 0, ran.err
    for by, wanted in before.items():
        assert costs(tmp_path, "--by", by, uri="sqlite:///mlflow.db") == wanted


@pytest.mark.server
@pytest.mark.parametrize("configured", [True, False])
def test_a_brand_that_there_is_not_is_refused_with_those_there_are(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str, configured: bool
) -> None:
    brand = f"brand-{secrets.token_hex(4)}"
    three(tmp_path, experiment, brand)
    if configured:
        (tmp_path / "config").mkdir()
        (tmp_path / "config/tierlens.yaml").write_text("brands: [Kisqali]\n")
    there = f"{brand}\n" if not configured else f"Kisqali, {brand}\n"

    waiting = tierlens(tmp_path, "costs", "--journal", JOURNAL, "--brand", "Nope")
    tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI=mlflow_server.uri)
    stored = tierlens(tmp_path, "costs", "--brand", "Nope", MLFLOW_TRACKING_URI=mlflow_server.uri)

    refused = "tierlens: --brand: 'Nope' is none of the brands there are: "
    assert (waiting.code, waiting.out, waiting.err.endswith(refused + there)) == (2, "", True)
    assert (stored.code, stored.out, refused in stored.err, brand in stored.err) == (2, "", True, True)


@pytest.mark.server
def test_a_brand_without_calls_in_that_time_spent_nothing(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    brand = f"brand-{secrets.token_hex(4)}"
    three(tmp_path, experiment, brand)
    later = ("--brand", brand, "--since", "2100-01-01")

    assert costs(tmp_path, *later, "--journal", JOURNAL)["rows"] == []
    tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI=mlflow_server.uri)
    assert costs(tmp_path, *later, uri=mlflow_server.uri)["rows"] == []


def test_a_folder_of_other_files_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "hosts").touch()
    asked = tierlens(tmp_path, "costs", "--journal", str(tmp_path))
    assert (asked.code, asked.out) == (2, "")
    assert f"{tmp_path} is no journal, and holds other files: give the folder of a journal" in asked.err


def test_a_journal_that_nothing_was_written_to_yet_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert costs(tmp_path, "--journal", str(tmp_path))["total"]["calls"] == 0
    recorded(tmp_path, "x")
    drain(tmp_path / JOURNAL, MemorySink)
    assert costs(tmp_path, "--journal", JOURNAL)["total"]["calls"] == 0


def test_where_no_brand_is_known_none_is_wrong(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir(parents=True)

    assert costs(tmp_path, "--journal", JOURNAL, "--brand", "Kisqali")["rows"] == []


def test_a_beginning_is_a_span_before_now_or_a_date() -> None:
    assert beginning_ns("24h", NOW) == beginning_ns("1d", NOW) == beginning_ns("2026-11-20T12:00", NOW)
    assert beginning_ns("2026-11-01", NOW) == int(dt.datetime(2026, 11, 1, tzinfo=dt.UTC).timestamp() * 1e9)
    with pytest.raises(ConfigError, match="neither a span such as 24h or 7d nor a date"):
        beginning_ns("yesterday", NOW)
