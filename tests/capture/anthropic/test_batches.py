"""Batches: a span where one is made, and each of its results once, however often it is read."""

from __future__ import annotations

import dataclasses
from typing import Any

import anthropic
import pytest
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.capture.anthropic.conftest import MODEL, REQUEST, billed, counted, read
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.anthropic import batches
from tierlens.capture.current import using
from tierlens.capture.decorators import agent
from tierlens.capture.trace import Context
from tierlens.policy import AgentPolicy, Policies
from tierlens.testing import ClaudeEndpoint

MADE, RESULTS, RESULT = "anthropic.messages.batches", "anthropic.messages.batches.results", "anthropic.messages"
REQUESTS: Any = [
    {"custom_id": "good", "params": REQUEST},
    {"custom_id": "bad", "params": {**REQUEST, "messages": []}},
    {"custom_id": "again", "params": REQUEST},
]

_PARSED = pytest.mark.skipif(
    not hasattr(anthropic.Anthropic(api_key="none").messages.batches.with_raw_response, "results"),
    reason="this version of anthropic has no raw response of a batch's results",
)


def test_making_one_is_told_with_its_id_and_size(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=iter(REQUESTS))
    span = capture.journal.named(MADE)
    assert span.attributes[keys.BATCH_ID] == batch.id
    assert span.attributes[keys.BATCH_REQUESTS] == 3
    assert read(span, keys.INPUTS)["requests"][0]["custom_id"] == "good"


def test_each_result_is_a_call_at_half_price(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    results = wrapped.messages.batches.results(batch.id)
    assert type(results) is type(plain.messages.batches.results(batch.id))
    assert list(results) == list(plain.messages.batches.results(batch.id))
    good, bad, again = (span for span in capture.journal.spans.values() if span.name == RESULT)
    assert [span.attributes[keys.CUSTOM_ID] for span in (good, bad, again)] == ["good", "bad", "again"]
    assert counted(good, again) == billed(endpoint)
    assert good.attributes[keys.MODEL] == MODEL
    assert good.attributes[keys.PRICE_SHARE] == 0.5
    assert (bad.status, good.status) == ("ERROR", "OK")
    assert "invalid_request_error" in bad.message


def test_the_span_that_made_a_batch_links_to_its_results(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    list(wrapped.messages.batches.results(batch.id))
    (link,) = capture.journal.named(MADE).links
    results = capture.journal.named(RESULTS)
    assert (link.trace_id, link.span_id) == (results.trace_id, results.span_id)
    assert read(results, keys.OUTPUTS) == {"succeeded": 2, "errored": 1}
    for span in capture.journal.spans.values():
        assert span.name != RESULT or span.parent_id == results.span_id


@_PARSED
def test_results_parsed_from_a_response_are_recorded_too(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    raw = wrapped.messages.batches.with_raw_response.create(requests=REQUESTS).parse()
    response = wrapped.messages.batches.with_raw_response.results(raw.id)
    assert response.parse() is response.parse()
    assert [one.custom_id for one in response.parse()] == ["good", "bad", "again"]
    good, bad, again = (span for span in capture.journal.spans.values() if span.name == RESULT)
    assert counted(good, again) == billed(endpoint)
    assert bad.status == "ERROR"


@_PARSED
async def test_asynchronous_results_parsed_from_a_response_alike(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    batch = await async_wrapped.messages.batches.create(requests=REQUESTS)
    async with async_wrapped.messages.batches.with_streaming_response.results(batch.id) as response:
        assert len([one async for one in await response.parse()]) == 3
    good = [span for span in capture.journal.spans.values() if span.name == RESULT and span.status == "OK"]
    assert counted(*good) == billed(endpoint)


def test_results_read_twice_are_not_doubled(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    for _ in range(2):
        list(wrapped.messages.batches.results(batch.id))
    spans = capture.journal.spans.values()
    assert sorted(span.name for span in spans) == sorted([MADE, RESULTS, RESULT, RESULT, RESULT])
    assert counted(*(span for span in spans if keys.TOKEN_USAGE in span.attributes)) == billed(endpoint)


def test_results_left_early_are_abandoned(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    results = wrapped.messages.batches.results(batch.id)
    next(results)
    results.close()
    assert capture.journal.named(RESULTS).attributes[keys.OUTCOME] == "abandoned"
    assert capture.journal.named(RESULT).attributes[keys.CUSTOM_ID] == "good"


async def test_asynchronous_results_alike(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    batch = await async_wrapped.messages.batches.create(requests=REQUESTS)
    assert len([result async for result in await async_wrapped.messages.batches.results(batch.id)]) == 3
    spans = [span for span in capture.journal.spans.values() if keys.TOKEN_USAGE in span.attributes]
    assert counted(*spans) == billed(endpoint)


def test_results_belong_to_the_brand_and_policy_of_who_reads_them(
    capture_with: Any, wrapped: anthropic.Anthropic
) -> None:
    private = AgentPolicy(agent="reader", log_prompts=False)
    made = capture_with(Policies(agents={"reader": private}, default_brand="Kisqali"))
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    made.journal.spans.clear()
    made.journal.starts.clear()

    @agent("reader")
    def look() -> int:
        return len(list(wrapped.messages.batches.results(batch.id)))

    assert look() == 3
    assert {routing.brand for routing in made.journal.routings.values()} == {"Kisqali"}
    reader = made.journal.named("reader")
    (link,) = made.journal.named(RESULTS).links
    assert (link.trace_id, link.span_id) == (reader.trace_id, reader.span_id)
    assert "This is how I read it" not in made.journal.text()
    assert "messages: List should" not in made.journal.text()


def test_results_read_in_a_graph_are_of_its_brand(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)

    def look(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", str(len(list(wrapped.messages.batches.results(batch.id)))))]}

    graph = StateGraph(MessagesState).add_node("look", look).add_edge(START, "look").add_edge("look", END).compile()
    inputs: Any = {"messages": [("user", "How many?")]}
    graph.invoke(inputs, {"callbacks": [capture.callback(brand="Fabhalta", user="analyst-1")]})
    results = capture.journal.named(RESULTS)
    assert capture.journal.routings[results.span_id].brand == "Fabhalta"
    assert results.attributes[keys.USER] == "analyst-1"


def test_results_have_one_place_whoever_asks_for_them(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    list(wrapped.messages.batches.results(batch.id))
    before = set(capture.journal.spans)
    with using(Context(remote=("ab" * 16, "cd" * 8))):
        list(wrapped.messages.batches.results(batch.id))
    assert set(capture.journal.spans) == before
    results = capture.journal.named(RESULTS)
    assert results.trace_id != "ab" * 16
    assert results.parent_id is None


PRIVATE = Policies(
    agents={"maker": AgentPolicy(agent="maker", tier=2, log_prompts=False, sample=0.0, runs="per_version")},
    default_brand="Kisqali",
)


def made_by(client: anthropic.Anthropic, name: str, brand: str | None = None) -> str:
    with using(Context(brand=brand, user="analyst-1")):
        return agent(name)(lambda: client.messages.batches.create(requests=REQUESTS).id)()


def test_results_are_of_the_agent_that_made_the_batch_whoever_reads_them(
    capture: Capture, wrapped: anthropic.Anthropic
) -> None:
    batch_id = made_by(wrapped, "maker", "Fabhalta")
    agent("reader")(lambda: list(wrapped.messages.batches.results(batch_id)))()
    results, reader = capture.journal.named(RESULTS), capture.journal.named("reader")
    assert (results.attributes[keys.AGENT], results.attributes[keys.USER]) == ("maker", "analyst-1")
    assert capture.journal.routings[results.span_id].brand == "Fabhalta"
    makers = capture.journal.named(MADE)
    assert [link.span_id for link in results.links] == [makers.span_id, reader.span_id]


def test_results_are_kept_as_private_and_in_the_same_run_as_their_agents_calls(
    capture_with: Any, wrapped: anthropic.Anthropic
) -> None:
    private = dataclasses.replace(PRIVATE.agents["maker"], sample=1.0)
    made = capture_with(dataclasses.replace(PRIVATE, agents={"maker": private}))
    list(wrapped.messages.batches.results(made_by(wrapped, "maker")))
    results = made.journal.named(RESULTS)
    assert "This is how I read it" not in made.journal.text()
    assert (results.attributes[keys.TIER], results.attributes[keys.VERSION]) == (2, private.version)
    told = made.journal.routings[results.span_id].invocation
    assert told is not None
    assert (told.version, len(told.calls)) == (private.version, 3)


def test_results_of_a_batch_whose_agent_sampling_dropped_are_dropped(
    capture_with: Any, wrapped: anthropic.Anthropic
) -> None:
    made = capture_with(PRIVATE)
    list(wrapped.messages.batches.results(made_by(wrapped, "maker")))
    assert made.journal.text() == "[][]"


def test_results_read_to_their_end_are_journalled_once(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    next(wrapped.messages.batches.results(batch.id))
    for _ in range(2):
        assert len(list(wrapped.messages.batches.results(batch.id))) == 3
        whole = dict(capture.journal.spans)
        capture.journal.spans.clear()
    assert (len(whole), capture.journal.spans) == (0, {})


def test_few_batches_are_remembered(capture: Capture) -> None:
    for number in range(2 * batches.MOST):
        batches.remember(capture.recorder, str(number), None)
    assert len(capture.recorder.batches) == batches.MOST
    assert "0" not in capture.recorder.batches


def test_no_request_is_kept_where_prompts_are_private(capture_with: Any, wrapped: anthropic.Anthropic) -> None:
    private = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    batch = wrapped.messages.batches.create(requests=REQUESTS)
    list(wrapped.messages.batches.results(batch.id))
    assert "Share fell" not in private.journal.text()
    assert private.journal.named(MADE).attributes[keys.BATCH_REQUESTS] == 3
