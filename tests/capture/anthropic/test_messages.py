"""What the span of a call of Claude tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.capture.anthropic.conftest import MODEL, REQUEST, WEATHER, billed, counted, read
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.current import using
from tierlens.capture.decorators import agent
from tierlens.capture.trace import Context
from tierlens.capture.wrapping import wrap
from tierlens.policy import AgentPolicy, Policies
from tierlens.testing import ClaudeEndpoint

LONG = "Every market has its own access rules. " * 400
NAME = "anthropic.messages"


def test_it_tells_what_was_asked_and_answered(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    message = wrapped.messages.create(**REQUEST, system="You are the gap analyzer.", stop_sequences=["Regards"])
    span = capture.journal.named(NAME)
    assert span.attributes[keys.SPAN_TYPE] == "CHAT_MODEL"
    assert span.status == "OK"
    assert span.parent_id is None
    assert span.attributes[keys.MODEL] == MODEL
    assert span.attributes[keys.PROVIDER] == "anthropic"
    assert read(span, keys.INPUTS)["messages"] == [
        {"role": "system", "content": "You are the gap analyzer."},
        {"role": "user", "content": "Share fell by 4% in June. Why?"},
    ]
    assert read(span, keys.PARAMS).items() >= {"max_tokens": 500, "stop_sequences": ["Regards"]}.items()
    (choice,) = read(span, keys.OUTPUTS)["choices"]
    assert choice["message"] == {"role": "assistant", "content": message.content[0].text}
    assert choice["finish_reason"] == "end_turn"


def test_its_start_is_journalled_with_the_prompt_before_the_answer_is_there(
    capture: Capture, plain: anthropic.Anthropic
) -> None:
    starts: list[Any] = []

    def look(request: Any, call_next: Callable[[Any], Any]) -> Any:
        starts.extend(capture.journal.starts)
        return call_next(request)

    wrap(plain).with_middleware(look).messages.create(**REQUEST)
    (start,) = starts
    assert "Share fell" in str(start.attributes[keys.INPUTS])


def test_tokens_and_cost_are_those_billed_with_both_kinds_of_cache_writes(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    system: Any = [
        {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": LONG[::-1], "cache_control": {"type": "ephemeral", "ttl": "5m"}},
    ]
    for _ in range(2):
        wrapped.messages.create(**REQUEST, system=system)
    writing, reading = capture.journal.spans.values()
    assert counted(writing, reading) == billed(endpoint)
    first, second = endpoint.ledger()["calls"]
    usage = read(writing, keys.TOKEN_USAGE)
    assert usage["cache_creation_input_tokens_above_1hr"] == first["cache_creation_1h_input_tokens"] > 0
    assert read(reading, keys.TOKEN_USAGE)["cache_read_input_tokens"] == second["cache_read_input_tokens"] > 0


def test_tools_are_shown_as_offered_called_and_answered(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    asked = wrapped.messages.create(**REQUEST, tools=[WEATHER], tool_choice={"type": "any"})
    (call,) = (block for block in asked.content if block.type == "tool_use")
    span = capture.journal.named(NAME)
    assert read(span, keys.CHAT_TOOLS)[0]["function"]["name"] == "get_weather"
    (choice,) = read(span, keys.OUTPUTS)["choices"]
    assert choice["message"]["tool_calls"][0]["id"] == call.id
    assert choice["finish_reason"] == "tool_use"
    capture.journal.spans.clear()
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
    turns: Any = [
        *REQUEST["messages"],
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    ]
    wrapped.messages.create(**{**REQUEST, "messages": turns}, tools=[WEATHER])
    prompt = read(capture.journal.named(NAME), keys.INPUTS)["messages"]
    assert prompt[1]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert prompt[2]["content"] == "Sunny."


def test_a_tool_runner_runs_as_with_the_plain_client(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    @anthropic.beta_tool
    def get_weather(place: str) -> str:
        """The weather of a place."""
        return f"Sunny in {place}."

    asked: Any = {**REQUEST, "messages": [{"role": "user", "content": "Get the weather of Basel."}]}
    expected = [one.content for one in plain.beta.messages.tool_runner(**asked, tools=[get_weather])]
    before = billed(endpoint)
    said = [one.content for one in wrapped.beta.messages.tool_runner(**asked, tools=[get_weather])]
    assert said == expected
    assert [one[0].type for one in said] == ["tool_use", "text"]
    calls = [span for span in capture.journal.spans.values() if keys.TOKEN_USAGE in span.attributes]
    assert counted(*calls) == tuple(now - then for now, then in zip(billed(endpoint), before, strict=True))
    assert len(calls) == len(said)


def test_thinking_stands_beside_the_answer(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    request: Any = {**REQUEST, "max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}}
    message = wrapped.messages.create(**request)
    span = capture.journal.named(NAME)
    assert message.content[0].type == "thinking"
    assert read(span, keys.OUTPUTS)["choices"][0]["message"]["thinking"] == message.content[0].thinking
    assert read(span, keys.PARAMS)["thinking"] == {"type": "enabled", "budget_tokens": 1_024}


def test_messages_that_can_be_read_only_once_are_left_to_the_client(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic
) -> None:
    def once() -> dict[str, Any]:
        return {**REQUEST, "messages": iter(REQUEST["messages"])}

    assert wrapped.messages.create(**once()) == plain.messages.create(**once())
    assert "Share fell" in str(capture.journal.named(NAME).attributes[keys.INPUTS])


async def test_calls_side_by_side_are_each_recorded(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    @agent("researcher")
    async def research() -> None:
        await asyncio.gather(*(async_wrapped.messages.create(**REQUEST) for _ in range(3)))

    await research()
    calls = [span for span in capture.journal.spans.values() if span.name == NAME]
    assert [span.parent_id for span in calls] == [capture.journal.named("researcher").span_id] * 3
    assert counted(*calls) == billed(endpoint)


def test_a_call_in_a_graphs_node_lies_in_that_node(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    def talk(state: MessagesState) -> dict[str, Any]:
        message = wrapped.messages.create(**REQUEST)
        return {"messages": [("ai", message.content[0].text)]}

    graph = StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").add_edge("talk", END).compile()
    inputs: Any = {"messages": [("user", "Why?")]}
    graph.invoke(inputs, {"callbacks": [capture.callback(brand="Kisqali")]})
    call, node = capture.journal.named(NAME), capture.journal.named("talk")
    assert call.parent_id == node.span_id
    assert capture.journal.routings[call.span_id].brand == "Kisqali"


def test_a_call_outside_of_everything_takes_the_context_it_is_made_in(
    capture: Capture, wrapped: anthropic.Anthropic
) -> None:
    with using(Context(brand="Fabhalta", session="s-1")):
        wrapped.messages.create(**REQUEST)
    span = capture.journal.named(NAME)
    assert capture.journal.routings[span.span_id].experiment == "tierlens/Fabhalta"
    assert span.attributes[keys.SESSION] == "s-1"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_no_text_is_kept_where_prompts_are_private(
    capture_with: Any, wrapped: anthropic.Anthropic, stream: bool
) -> None:
    private = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    answer: Any = wrapped.messages.create(**REQUEST, system="You are the gap analyzer.", tools=[WEATHER], stream=stream)
    assert not stream or list(answer)
    kept = private.journal.text()
    assert kept
    for text in ("Share", "June", "gap analyzer", "weather", "This is how I read it"):
        assert text not in kept
    assert counted(*private.journal.spans.values())[0] > 0


def test_the_words_of_a_refusal_are_private_too(capture_with: Any, wrapped: anthropic.Anthropic) -> None:
    private = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    with pytest.raises(anthropic.BadRequestError):
        wrapped.messages.create(**{**REQUEST, "messages": []})
    (span,) = private.journal.spans.values()
    assert span.status == "ERROR"
    assert span.events[0].attributes == {"exception.type": "anthropic.BadRequestError"}
    assert span.message == ""
