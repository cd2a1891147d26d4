"""Sums over model calls: the same whatever the calls are nested in, and however often their spans are given."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tierlens import keys, usages
from tierlens.projection.paid import Paid, paid_as
from tierlens.projection.spending import DIMENSIONS, PricedCall, SpanRead, calls_of, in_all, spent

counts = st.none() | st.integers(0, 10**6)
kinds = st.sampled_from(["CHAIN", "AGENT", "CHAT_MODEL", "LLM", "TOOL", "EMBEDDING"])
MODELS = ("CHAT_MODEL", "LLM", "EMBEDDING")


@st.composite
def traces(draw: st.DrawFn) -> list[SpanRead]:
    """Spans below one another in any way; model calls report what they like, a price included."""
    spans: list[SpanRead] = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(kinds)
        attributes: dict[str, object] = {keys.SPAN_TYPE: kind, keys.MODEL: draw(st.sampled_from(["a", "b"]))}
        if kind in MODELS:
            told = {
                "input_tokens": draw(counts),
                "output_tokens": draw(counts),
                "cache_read_input_tokens": draw(counts),
            }
            attributes[keys.TOKEN_USAGE] = json.dumps({k: v for k, v in told.items() if v is not None})
            if (thought := draw(counts)) is not None:
                attributes[keys.FINER_USAGE] = json.dumps({usages.REASONING: thought})
            if draw(st.booleans()):
                attributes[keys.COST] = json.dumps({"total_cost": draw(st.integers(0, 9)) / 8})
                attributes[keys.PRICE] = draw(st.sampled_from(["2026-11-20", "2026-11-21"]))
        parent = draw(st.sampled_from(["", *(span.span_id for span in spans), "elsewhere"]))
        spans.append(SpanRead(f"s{number}", parent, f"n{number}", number, attributes))
    return spans


def calls(spans: Sequence[SpanRead]) -> list[PricedCall]:
    said = {span.span_id: span.attributes for span in spans}

    def priced(span_id: str) -> Paid | None:
        return paid_as(said[span_id].get(keys.COST), said[span_id])

    return list(calls_of("t", spans, brand="Kisqali", priced=priced))


def reported(spans: Sequence[SpanRead], key: str, name: str) -> int | None:
    found = [json.loads(str(span.attributes[key])) for span in spans if key in span.attributes]
    figures = [one[name] for one in found if name in one]
    return sum(figures) if figures else None


@given(traces())
def test_a_traces_total_is_the_sum_of_its_model_calls_whatever_the_nesting(spans: list[SpanRead]) -> None:
    total = in_all(calls(spans))

    assert total.calls == sum(span.attributes[keys.SPAN_TYPE] in MODELS for span in spans)
    assert total.tokens.get("input") == reported(spans, keys.TOKEN_USAGE, "input_tokens")
    assert total.tokens.get("output") == reported(spans, keys.TOKEN_USAGE, "output_tokens")
    assert total.tokens.get("cache_read") == reported(spans, keys.TOKEN_USAGE, "cache_read_input_tokens")
    assert total.tokens.get("reasoning") == reported(spans, keys.FINER_USAGE, usages.REASONING)


@given(traces(), st.sampled_from(sorted(DIMENSIONS)))
def test_rows_come_to_the_total(spans: list[SpanRead], by: str) -> None:
    found = calls(spans)
    total, rows = in_all(found), spent(found, by).values()

    assert sum(row.calls for row in rows) == total.calls
    assert sum(row.unpriced for row in rows) == total.unpriced
    assert sum(row.cost or 0 for row in rows) == (total.cost or 0)
    assert {day for row in rows for day in row.dates} == total.dates
    assert {name: sum(row.tokens.get(name, 0) for row in rows) for name in total.tokens} == total.tokens


@given(traces())
def test_a_span_given_twice_counts_once(spans: list[SpanRead]) -> None:
    assert calls([*spans, *spans]) == calls(spans)


def test_a_call_belongs_to_the_innermost_agent_around_it() -> None:
    agent = {keys.SPAN_TYPE: "AGENT", keys.AGENT: "gap_analyzer", keys.TIER: 2}
    spans = [
        SpanRead("a", "", "outer", 0, {keys.SPAN_TYPE: "AGENT"}),
        SpanRead("b", "a", "inner", 1, agent),
        SpanRead("c", "b", "node", 2, {keys.SPAN_TYPE: "CHAIN"}),
        SpanRead("d", "c", "model", 3, {keys.SPAN_TYPE: "CHAT_MODEL"}),
    ]

    (call,) = calls(spans)

    assert (call.agent, call.tier, call.usage, call.paid) == ("gap_analyzer", "2", {}, None)


def test_a_call_made_after_its_graph_had_ended_is_its_agents() -> None:
    spans = [
        SpanRead("a", "", "late", 0, {keys.SPAN_TYPE: "CHAIN", keys.AGENT: "gap_analyzer"}),
        SpanRead("b", "a", "model", 1, {keys.SPAN_TYPE: "CHAT_MODEL"}),
    ]

    assert [call.agent for call in calls(spans)] == ["gap_analyzer"]


def test_a_call_is_of_the_prompts_of_the_innermost_span_that_names_some_up_to_its_agent() -> None:
    def linked(name: str) -> dict[str, str]:
        return {keys.PROMPTS: json.dumps([{"name": name, "version": "1"}])}

    spans = [
        SpanRead("a", "", "graph", 0, {keys.SPAN_TYPE: "CHAIN"} | linked("outer")),
        SpanRead("b", "a", "node", 1, {keys.SPAN_TYPE: "CHAIN"} | linked("gap")),
        SpanRead("c", "b", "model", 2, {keys.SPAN_TYPE: "CHAT_MODEL"}),
        SpanRead("d", "a", "agent", 3, {keys.SPAN_TYPE: "AGENT"}),
        SpanRead("e", "d", "model", 4, {keys.SPAN_TYPE: "CHAT_MODEL"}),
    ]

    assert [call.prompt for call in calls(spans)] == ["gap/1", ""]


def test_the_prompts_of_a_trace_are_those_mlflow_has_linked() -> None:
    tags = {"mlflow.linkedPrompts": json.dumps([{"name": "gap", "version": "3"}, {"name": "cause", "version": "1"}])}
    model = SpanRead("d", "", "model", 3, {keys.SPAN_TYPE: "CHAT_MODEL"})

    (call,) = calls_of("t", [model], brand="", priced=lambda _: None, tags=tags)

    assert call.prompt == "cause/1, gap/3"
