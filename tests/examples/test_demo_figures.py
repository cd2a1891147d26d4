"""The demo's figures, from traces as MLflow's REST API gives them."""

from __future__ import annotations

import pytest

from examples.demo.figures import Tokens, by_agent, by_brand, latencies, ledger_tokens, tokens, total
from examples.demo.stored import StoredSpan, StoredTrace, plain, read_trace
from examples.demo.summary import Summary
from examples.demo.tables import closing_lines
from tierlens.shipping import FlushReport


def span(span_id: str, name: str, kind: str, parent: str | None = None, failed: bool = False, **attributes):
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return StoredSpan(span_id, parent, name, kind, failed, named)


def asked(span_id: str, parent: str, read: int, written: int, cost: float) -> StoredSpan:
    usage = {"input_tokens": read, "output_tokens": written}
    cost_of = {"total_cost": cost}
    return span(
        span_id, "ChatAnthropic", "CHAT_MODEL", parent, mlflow__chat__tokenUsage=usage, mlflow__llm__cost=cost_of
    )


def trace(*spans: StoredSpan, brand: str = "Kisqali", experiment: str = "3", seconds: float = 1.0, read: int = 0):
    used = {"input_tokens": read, "output_tokens": 1}
    return StoredTrace("tr-1", experiment, {"brand": brand}, seconds, used, 0.5, spans)


WORK = trace(
    span("r", "graph", "CHAIN"),
    span("a", "explainer", "AGENT", "r", tierlens__tier=5),
    span("b", "reranking", "CHAIN", "a"),
    asked("c", "b", 10, 2, 0.25),
    span("d", "orchestrator", "AGENT", "r", failed=True, tierlens__tier=1),
    asked("e", "d", 5, 1, 0.125),
)


def test_a_model_call_counts_for_the_agent_it_was_made_in_however_deep():
    orchestrator, explainer = by_agent([WORK, WORK])

    assert (explainer.agent, explainer.calls, explainer.model_calls) == ("explainer", 2, 2)
    assert (explainer.input_tokens, explainer.output_tokens, explainer.cost_usd) == (20, 4, 0.5)
    assert (orchestrator.tier, orchestrator.errors, explainer.errors) == (1, 2, 0)


def test_a_model_call_outside_of_agents_is_not_left_out():
    (row,) = by_agent([trace(span("r", "graph", "CHAIN"), asked("c", "r", 10, 2, 0.25))])

    assert (row.agent, row.calls, row.model_calls, row.input_tokens) == ("-", 0, 1, 10)


def test_a_brand_in_two_experiments_makes_two_rows():
    rows = by_brand([WORK, trace(experiment="9"), trace(brand="Fabhalta", experiment="2")])

    assert [(row.brand, row.experiment_id) for row in rows] == [("Kisqali", "3"), ("Kisqali", "9"), ("Fabhalta", "2")]


def test_an_agent_counts_once_however_often_it_worked():
    assert total([WORK, WORK]).agents == 2


def test_latencies_are_the_traces_own():
    assert latencies([trace(seconds=each / 100) for each in range(101)]) == pytest.approx((0.5, 0.95))
    assert latencies([]) == (0.0, 0.0)


def test_the_ledgers_input_is_what_mlflow_calls_input():
    ledger = {"totals": {"input_tokens": 1, "all_input_tokens": 30, "output_tokens": 2}}

    assert tokens([trace(read=10), trace(read=20)]) == ledger_tokens(ledger) == Tokens(30, 2)


def test_values_come_back_as_they_were():
    strings = {"array_value": {"values": [{"string_value": "a"}, {}]}}
    stored = {"kvlist_value": {"values": [{"key": "s", "value": strings}, {"key": "none"}]}}

    assert plain(stored) == {"s": ["a", None], "none": None}


def test_a_trace_without_spans_or_totals_is_read():
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "3"}}

    read = read_trace({"trace_info": {"trace_id": "tr-1", "trace_location": place}})

    assert (read.seconds, read.tokens, read.cost, read.spans) == (0.0, {}, 0.0, ())


@pytest.mark.parametrize(
    ("ledger", "said"),
    [(Tokens(10, 1), "difference 0"), (Tokens(7, 1), "difference 3 in, 0 out"), (None, "keeps no ledger")],
)
def test_the_closing_lines_say_whether_the_tokens_agree(ledger, said):
    report = FlushReport(accepted=1, stored=1, pending=0)
    summary = Summary("r", "which", 1.0, [], total([]), [], {}, Tokens(10, 1), ledger, report, [], [])

    assert said in "\n".join(closing_lines(summary, "var/demo"))
