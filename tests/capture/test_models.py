"""A model call's span tells what was asked and answered, and what it took: the endpoint's own book is the oracle."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from anthropic.resources.messages import Messages
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys
from tierlens.spans import Span
from tierlens.testing import ClaudeEndpoint

MODEL = "claude-sonnet-4-6"
LONG = "Every market has its own access rules. " * 200
LONGER = "Every brand has its own history of launches. " * 200
WAYS = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as started:
        yield started


@pytest.fixture
def fresh() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as started:
        yield started


def claude(endpoint: ClaudeEndpoint, **arguments: Any) -> ChatAnthropic:
    return ChatAnthropic(model=MODEL, base_url=endpoint.base_url, api_key="offline", max_retries=0, **arguments)


async def ask(llm: Any, way: str, messages: Any, config: Any) -> None:
    if way == "invoke":
        llm.invoke(messages, config)
    elif way == "stream":
        list(llm.stream(messages, config))
    elif way == "batch":
        llm.batch([messages, messages], config)
    elif way == "ainvoke":
        await llm.ainvoke(messages, config)
    elif way == "astream":
        assert [chunk async for chunk in llm.astream(messages, config)]
    else:
        await llm.abatch([messages, messages], config)


def calls(capture: Capture) -> list[Span]:
    return [span for span in capture.journal.spans.values() if span.attributes[keys.SPAN_TYPE] == "CHAT_MODEL"]


def read(span: Span, key: str) -> Any:
    return json.loads(str(span.attributes[key]))


def block(text: str, ttl: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}


@pytest.mark.parametrize("way", WAYS)
async def test_tokens_and_cost_are_the_books_own_however_it_is_called(
    capture: Capture, fresh: ClaudeEndpoint, way: str
) -> None:
    system = SystemMessage([block(LONGER, "1h"), block(LONG, "5m")])  # type: ignore[list-item]  # blocks
    for question in ("Why did new starts fall?", "And why did they rise again?"):
        await ask(claude(fresh), way, [system, HumanMessage(question)], capture.config())
    book = fresh.ledger()["calls"]
    assert len(calls(capture)) == len(book)
    usages = [read(span, keys.TOKEN_USAGE) for span in calls(capture)]
    billed = [call["input_tokens"] + call["cache_read_input_tokens"] + written(call) for call in book]
    assert sorted(usage["input_tokens"] for usage in usages) == sorted(billed)
    for field, ours in {
        "output_tokens": "output_tokens", "cache_read_input_tokens": "cache_read_input_tokens",
    }.items():  # fmt: skip
        assert sum(usage.get(ours, 0) for usage in usages) == sum(call[field] for call in book)
    assert sum(usage["cache_creation_input_tokens"] for usage in usages) == sum(map(written, book))
    assert all(usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] for usage in usages)


def written(call: dict[str, Any]) -> int:
    return int(call["cache_creation_5m_input_tokens"] + call["cache_creation_1h_input_tokens"])


def test_both_lifetimes_of_cache_writes_are_counted_apart(capture: Capture, fresh: ClaudeEndpoint) -> None:
    system = SystemMessage([block(LONGER, "1h"), block(LONG, "5m")])  # type: ignore[list-item]  # blocks
    claude(fresh).invoke([system, HumanMessage("Why?")], capture.config())
    (call,) = fresh.ledger()["calls"]
    (span,) = calls(capture)
    usage = read(span, keys.TOKEN_USAGE)
    assert usage["cache_creation_input_tokens_above_1hr"] == call["cache_creation_1h_input_tokens"] > 0
    assert usage["cache_creation_input_tokens"] == written(call)


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_a_stream_counts_its_cache_writes_as_the_same_call_unstreamed(capture: Capture, ttl: str) -> None:
    messages = [SystemMessage([block(LONG, ttl)]), HumanMessage("Why?")]  # type: ignore[list-item]  # blocks
    for way in ("invoke", "stream"):
        with ClaudeEndpoint() as endpoint:
            list(claude(endpoint).stream(messages, capture.config())) if way == "stream" else claude(endpoint).invoke(
                messages, capture.config()
            )
    plain, streamed = calls(capture)
    assert read(plain, keys.TOKEN_USAGE)["cache_creation_input_tokens"] > 1_000
    assert read(streamed, keys.TOKEN_USAGE) == read(plain, keys.TOKEN_USAGE)


@pytest.mark.skipif("speed" not in inspect.signature(Messages.create).parameters, reason="it cannot be asked for here")
def test_a_streams_speed_and_place_are_those_it_was_asked_for(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    dearer = claude(endpoint, model_kwargs={"speed": "fast"}).bind(inference_geo="us")
    list(dearer.stream("Why?", capture.config()))
    list(claude(endpoint).stream("Why?", capture.config()))
    first, second = (call.attributes for call in calls(capture))
    assert (first[keys.SERVICE_TIER], first[keys.PRICE_SHARE]) == ("fast", 1.1)
    assert {keys.SERVICE_TIER, keys.PRICE_SHARE}.isdisjoint(second)


def test_the_chat_stands_there_as_mlflow_renders_it(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    asked = AIMessage("", tool_calls=[{"name": "share", "args": {"region": "Boston"}, "id": "c1"}])
    messages = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "What is"}, {"type": "text", "text": "the share?"}]),
        asked,
        ToolMessage("12.5%", tool_call_id="c1"),
    ]
    llm = model("It is 12.5%.")
    llm.invoke(messages, capture.config())
    (span,) = calls(capture)
    assert read(span, keys.INPUTS)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is\nthe share?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "share", "arguments": '{"region":"Boston"}'}}
            ],
        },
        {"role": "tool", "content": "12.5%", "tool_call_id": "c1"},
    ]
    (choice,) = read(span, keys.OUTPUTS)["choices"]
    assert choice["message"] == {"role": "assistant", "content": "It is 12.5%."}


def test_pictures_are_told_not_stored(capture: Capture) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD" * 1_000}}
    model("A cat.").invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])], capture.config())
    (span,) = calls(capture)
    assert read(span, keys.INPUTS)["messages"][0]["content"] == "What is it?\n[image image/png 4000 characters]"
    assert "QUJDQUJD" not in capture.journal.text()


async def test_tools_offered_and_called_are_told(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    @tool
    def market_share(region: str) -> str:
        """The market share of a region."""
        return region

    llm = claude(endpoint).bind_tools([market_share])
    for way in ("invoke", "stream"):
        await ask(llm, way, "What is the market share in Boston?", capture.config())
    for span in calls(capture):
        (offered,) = read(span, keys.CHAT_TOOLS)
        assert (offered["type"], offered["function"]["name"]) == ("function", "market_share")
        assert offered["function"]["parameters"]["properties"]["region"]["type"] == "string"
        (choice,) = read(span, keys.OUTPUTS)["choices"]
        (called,) = choice["message"]["tool_calls"]
        assert called["function"] == {"name": "market_share", "arguments": '{"region":"Boston"}'}
        assert choice["finish_reason"] == "tool_use"


def test_parameters_model_and_provider_are_told(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    claude(endpoint, temperature=0.25, max_tokens=77).invoke("Why?", capture.config())
    (span,) = calls(capture)
    parameters = read(span, keys.PARAMS)
    assert (parameters["temperature"], parameters["max_tokens"]) == (0.25, 77)
    assert (span.attributes[keys.MODEL], span.attributes[keys.PROVIDER]) == (MODEL, "anthropic")
    assert read(span, keys.OUTPUTS)["choices"][0]["finish_reason"] == "end_turn"
    assert "offline" not in capture.journal.text()


def test_thinking_is_told_apart_from_the_answer(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    llm = claude(endpoint, max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    llm.invoke("Why did new starts fall?", capture.config())
    (span,) = calls(capture)
    (choice,) = read(span, keys.OUTPUTS)["choices"]
    assert choice["message"]["thinking"]
    assert choice["message"]["thinking"] not in choice["message"]["content"]


class Drift(BaseModel):
    """A drift report."""

    severity: Literal["low", "high"]
    drift_magnitude: float


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_leaves_its_model_call_as_it_is(
    capture: Capture, endpoint: ClaudeEndpoint, method: Any
) -> None:
    chain = claude(endpoint).with_structured_output(Drift, method=method)
    report = chain.invoke("drift_magnitude=0.31 for TRx. Severity is high.", capture.config())
    assert report == Drift(severity="high", drift_magnitude=0.31)
    (span,) = calls(capture)
    assert read(span, keys.TOKEN_USAGE)["output_tokens"] > 0
    (root,) = capture.journal.roots()
    assert json.loads(str(root.attributes[keys.OUTPUTS]))["severity"] == "high"


def test_a_stream_tells_when_it_began_and_how_fast_it_was(capture: Capture) -> None:
    with ClaudeEndpoint(first_token_s=0.05, tokens_per_s=400) as slow:
        list(claude(slow).stream("Why did new starts fall in the north?", capture.config()))
    (span,) = calls(capture)
    seconds = (span.end_ns - span.start_ns) / 1e9
    first = float(span.attributes[keys.TTFT_MS]) / 1e3
    assert 0.05 <= first < seconds
    tokens = read(span, keys.TOKEN_USAGE)["output_tokens"]
    assert float(span.attributes[keys.TOKENS_PER_S]) == pytest.approx(tokens / (seconds - first), rel=0.2)


def test_a_call_that_is_not_streamed_claims_no_speed(capture: Capture, endpoint: ClaudeEndpoint) -> None:
    claude(endpoint).invoke("Why?", capture.config())
    (span,) = calls(capture)
    assert not {keys.TTFT_MS, keys.TOKENS_PER_S} & set(span.attributes)


def test_inside_a_graph_that_streams_messages_usage_is_counted_once(capture: Capture, fresh: ClaudeEndpoint) -> None:
    llm = claude(fresh)

    def node(state: State) -> State:
        return {"notes": [llm.invoke(state["question"]).text]}

    compiled = graph(node=node).compile()
    list(compiled.stream({"question": "Why?"}, capture.config(), stream_mode=["messages", "updates"]))
    (span,) = calls(capture)
    totals = fresh.ledger()["totals"]
    usage = read(span, keys.TOKEN_USAGE)
    assert (usage["input_tokens"], usage["output_tokens"]) == (totals["all_input_tokens"], totals["output_tokens"])


def test_an_answer_out_of_langchains_cache_took_no_tokens(capture: Capture, fresh: ClaudeEndpoint) -> None:
    llm = claude(fresh, cache=InMemoryCache())
    for _ in range(3):
        llm.invoke("Why?", capture.config())

    totals, spans = fresh.ledger()["totals"], calls(capture)
    assert sum(read(span, keys.TOKEN_USAGE)["output_tokens"] for span in spans) == totals["output_tokens"]
    assert sum(read(span, keys.TOKEN_USAGE)["input_tokens"] for span in spans) == totals["all_input_tokens"]
    assert [span.attributes.get(keys.FROM_CACHE) for span in spans] == [None, True, True]


def test_a_refused_call_is_an_error_with_what_was_asked(capture: Capture, fresh: ClaudeEndpoint) -> None:
    fresh.fail_next(529, retry_after_s=0)
    with pytest.raises(Exception, match=r"[Oo]verloaded"):
        claude(fresh).invoke("Why?", capture.config())
    (span,) = calls(capture)
    assert span.status == "ERROR"
    assert read(span, keys.INPUTS)["messages"] == [{"role": "user", "content": "Why?"}]
    assert keys.TOKEN_USAGE not in span.attributes


def test_a_completion_model_is_an_llm_span(capture: Capture) -> None:
    FakeListLLM(responses=["because"]).invoke("Why?", capture.config())
    (span,) = capture.journal.spans.values()
    assert span.attributes[keys.SPAN_TYPE] == "LLM"
    assert read(span, keys.INPUTS)["messages"] == [{"role": "user", "content": "Why?"}]
    assert read(span, keys.OUTPUTS)["choices"][0]["message"]["content"] == "because"
    assert keys.TOKEN_USAGE not in span.attributes


def test_tokens_of_any_model_are_counted(capture: Capture) -> None:
    model("answer").invoke("Why?", capture.config())
    (span,) = calls(capture)
    assert read(span, keys.TOKEN_USAGE) == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
