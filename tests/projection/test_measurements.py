from __future__ import annotations

import json

import pytest

from tests.projection.works import COST, MODEL, line
from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.negotiated import Negotiated
from tierlens.projection import instruments
from tierlens.projection.measurements import Agent, Kin, Sample, kin_of, measured
from tierlens.projection.prices import PUBLISHED, PriceBook


def points(found: Line, agent: Agent | None = None, prices: PriceBook = PUBLISHED) -> list[Sample]:
    figures = measured(found, prices)
    return list(figures.points(agent)) if figures is not None else []


CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4-5",
    "tierlens.brand": "Kisqali",
}


def test_a_model_call_has_a_duration_tokens_and_a_cost_and_is_its_agents():
    found = points(line(1, "CHAT_MODEL", said={**MODEL, keys.TTFT_MS: 250.0}), Agent("causal_impact", "2"))

    whose = {**CALL, "gen_ai.agent.name": "causal_impact", "tierlens.tier": "2"}
    assert found == [
        Sample(instruments.CALLS, 2.0, {**whose, "tierlens.outcome": "ok"}),
        Sample(instruments.FIRST_CHUNK, 0.25, whose),
        Sample(instruments.TOKENS, 100, {**whose, "gen_ai.token.type": "input"}),
        Sample(instruments.TOKENS, 20, {**whose, "gen_ai.token.type": "output"}),
        Sample(instruments.CACHED, 60, {**whose, "tierlens.cache": "read"}),
        Sample(instruments.CACHED, 10, {**whose, "tierlens.cache": "write"}),
        Sample(instruments.COST, COST, whose),
    ]


def test_what_was_not_counted_is_no_measurement_rather_than_0():
    found = points(line(1, "CHAT_MODEL", said={keys.PROVIDER: "anthropic", keys.MODEL: "claude-sonnet-4-5"}))

    assert [point.metric for point in found] == [instruments.CALLS]


def test_a_cost_that_the_span_tells_is_taken_and_one_that_nobody_knows_is_missing():
    told = {**MODEL, keys.MODEL: "of-our-own", keys.COST: json.dumps({"total_cost": 0.5})}
    unknown = {**MODEL, keys.MODEL: "of-our-own"}

    priced = {p.metric: p.value for p in points(line(1, "LLM", said=told))}
    unpriced = {p.metric: p.value for p in points(line(1, "LLM", said=unknown))}
    assert (priced[instruments.COST], instruments.UNPRICED in priced) == (0.5, False)
    assert (unpriced[instruments.UNPRICED], instruments.COST in unpriced) == (1, False)


def test_a_cost_is_by_the_prices_that_are_given():
    book = PriceBook([Negotiated("*", "claude-*", 1_000.0, 0.0)])

    told = [points(line(1, "CHAT_MODEL", said=MODEL), prices=prices)[-1] for prices in (book, PUBLISHED)]

    assert [(point.metric, point.value) for point in told] == [
        (instruments.COST, pytest.approx(0.1)),
        (instruments.COST, pytest.approx(COST)),
    ]


def test_tokens_that_a_tokenizer_counted_say_so():
    found = points(line(1, "CHAT_MODEL", said={**MODEL, keys.TOKENS_ESTIMATED: True}))

    assert {p.labels.get("tierlens.tokens_estimated") for p in found if p.metric == instruments.TOKENS} == {"true"}
    assert {p.labels.get("tierlens.tokens_estimated") for p in found if p.metric != instruments.TOKENS} == {None}


@pytest.mark.parametrize(
    ("kind", "operation"), [("CHAT_MODEL", "chat"), ("LLM", "text_completion"), ("EMBEDDING", "embeddings")]
)
def test_operations_have_the_names_of_the_conventions(kind: str, operation: str):
    assert points(line(1, kind))[0].labels["gen_ai.operation.name"] == operation


@pytest.mark.parametrize(
    ("langchain", "conventions"),
    [("openai", "openai"), ("google_genai", "gcp.gemini"), ("amazon_bedrock", "aws.bedrock"), ("ours", "ours")],
)
def test_providers_have_the_names_of_the_conventions(langchain: str, conventions: str):
    found = points(line(1, "CHAT_MODEL", said={keys.PROVIDER: langchain}))

    assert found[0].labels["gen_ai.provider.name"] == conventions


def test_a_failed_call_says_what_it_failed_by():
    (found,) = points(line(1, "CHAT_MODEL", error="anthropic.RateLimitError", said={keys.OUTCOME: "error"}))
    (silent,) = points(line(1, "CHAT_MODEL", error="", said={keys.OUTCOME: "cancelled"}))

    assert (found.labels["tierlens.outcome"], found.labels["error.type"]) == ("error", "anthropic.RateLimitError")
    assert (silent.labels["tierlens.outcome"], "error.type" in silent.labels) == ("cancelled", False)


def test_an_agent_and_a_graph_have_a_duration_each():
    agent = points(line(2, "AGENT", parent=1, name="node_b", said={keys.AGENT: "explainer", keys.TIER: 5}))
    graph = points(line(1, root=True, name="LangGraph", said={keys.OUTCOME: "interrupted"}))

    assert agent == [
        Sample(
            instruments.AGENTS,
            2.0,
            {
                "tierlens.brand": "Kisqali",
                "gen_ai.agent.name": "explainer",
                "tierlens.tier": "5",
                "tierlens.outcome": "ok",
            },
        )
    ]
    assert [(p.metric, p.labels["gen_ai.workflow.name"], p.labels["tierlens.outcome"]) for p in graph] == [
        (instruments.WORKFLOWS, "LangGraph", "interrupted")
    ]


def test_inner_work_and_a_root_of_another_processs_trace_are_not_counted():
    assert [points(line(2, kind, parent=1)) for kind in ("CHAIN", "TOOL", "TASK", "RETRIEVER")] == [[]] * 4
    assert points(line(2, parent=1, root=True)) == []


def test_kin_are_the_span_around_and_the_agent_that_one_is():
    assert kin_of(line(3, "CHAT_MODEL", parent=2)) == Kin(f"{2:016x}", None, model=True)
    assert kin_of(line(2, "AGENT", parent=1, name="explainer")) == Kin(f"{1:016x}", Agent("explainer", ""))
    assert kin_of(line(2, parent=1, root=True)) == Kin("")


def test_text_that_looks_like_a_parent_or_a_kind_is_text():
    planted = '"key":"mlflow.spanType","value":{"stringValue":"AGENT" "parentSpanId":"dead"'
    found = line(2, parent=1, name=planted, said={keys.INPUTS: planted})

    assert kin_of(found) == Kin(f"{1:016x}")


@pytest.mark.parametrize(
    "told", ["[1]", "{", '{"input_tokens": -1}', '{"input_tokens": true}', '{"input_tokens": 1e400}']
)
def test_tokens_that_are_no_counts_are_left_out(told: str):
    found = points(line(1, "CHAT_MODEL", said={**MODEL, keys.TOKEN_USAGE: told}))

    assert [point.metric for point in found] == [instruments.CALLS]


@pytest.mark.parametrize("ttft", ["soon", float("nan"), -1.0, True])
def test_a_time_that_is_none_is_left_out(ttft: object):
    found = points(line(1, "CHAT_MODEL", said={keys.TTFT_MS: ttft}))

    assert [point.metric for point in found] == [instruments.CALLS]
