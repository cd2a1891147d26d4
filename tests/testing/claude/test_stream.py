"""Streams through Anthropic's own client."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest

from tests.testing.claude.conftest import HELLO, MODEL, client_of
from tests.testing.claude.test_messages import WEATHER, asking, create, text_of
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import Reply, ToolCall, tokens

REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 2000, "messages": HELLO}


def streamed(client: anthropic.Anthropic, **request: Any) -> anthropic.types.Message:
    with client.messages.stream(**{**REQUEST, **request}) as stream:
        return stream.get_final_message()


def same(message: anthropic.types.Message) -> tuple[Any, ...]:
    """What a streamed message and a plain one have in common."""
    blocks = [block.model_dump(exclude={"id", "parsed_output", "citations"}) for block in message.content]
    usage = message.usage
    return blocks, message.stop_reason, message.stop_sequence, usage.input_tokens, usage.output_tokens


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": asking("Share fell by 4%. Why?"), "system": "You are the gap analyzer."},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"tools": [WEATHER], "tool_choice": {"type": "any"}},
        {"max_tokens": 3},
        {"max_tokens": 0},
        {"stop_sequences": ["read"]},
    ],
    ids=["text", "thinking", "hidden thinking", "tool", "cut", "nothing", "stopped"],
)
def test_a_stream_adds_up_to_the_plain_answer(client: anthropic.Anthropic, request_: dict[str, Any]) -> None:
    assert same(streamed(client, **request_)) == same(create(client, **{"max_tokens": 2000, **request_}))


def test_events_come_in_anthropics_order(client: anthropic.Anthropic) -> None:
    request = {**REQUEST, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    events = list(client.messages.create(**request, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    deltas = [event.delta.type for event in events if event.type == "content_block_delta"]
    assert deltas == sorted(deltas, key=["thinking_delta", "signature_delta", "text_delta"].index)
    assert [event.index for event in events if event.type == "content_block_start"] == [0, 1]


def test_usage_is_known_at_the_start_and_final_at_the_end(client: anthropic.Anthropic) -> None:
    events = list(client.messages.create(**REQUEST, stream=True))
    start, end = events[0], events[-2]
    assert start.type == "message_start"
    assert end.type == "message_delta"
    assert start.message.usage.output_tokens == 1
    assert start.message.usage.input_tokens == end.usage.input_tokens
    assert start.message.usage.cache_creation is not None
    assert end.usage.output_tokens > 1


def test_tool_input_comes_as_pieces_of_json() -> None:
    call = ToolCall("get_weather", {"city": "Saint-Rémy", "days": 3})
    with (
        ClaudeEndpoint(lambda request: Reply("Let me look.", [call]), tokens_per_delta=1) as endpoint,
        client_of(endpoint).messages.stream(**{**REQUEST, "tools": [WEATHER]}) as stream,
    ):
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    assert len(pieces) > 5
    assert message.content[1].type == "tool_use"
    assert message.content[1].input == call.input
    assert message.stop_reason == "tool_use"


def test_pings_are_sent_and_ignored_by_the_client(endpoint: ClaudeEndpoint) -> None:
    headers = {"x-api-key": "offline", "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{endpoint.base_url}/v1/messages", headers=headers, json={**REQUEST, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in answer.text
    assert answer.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_deltas_carry_as_many_tokens_as_asked_for() -> None:
    text = "One two three four five six seven."
    with (
        ClaudeEndpoint(lambda request: Reply(text), tokens_per_delta=3) as endpoint,
        client_of(endpoint).messages.stream(**REQUEST) as stream,
    ):
        pieces = list(stream.text_stream)
    assert "".join(pieces) == text
    assert [tokens.count(piece) for piece in pieces] == [3, 3, 2]


async def test_the_async_client_streams_the_same(endpoint: ClaudeEndpoint, client: anthropic.Anthropic) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=endpoint.base_url, api_key="offline") as opened,
        opened.messages.stream(**REQUEST) as stream,
    ):
        message = await stream.get_final_message()
    assert text_of(message) == text_of(create(client))


def test_latency_follows_the_tokens_and_is_slept_by_what_is_given() -> None:
    slept: list[float] = []
    with ClaudeEndpoint(tokens_per_s=100, first_token_s=0.5, sleep=slept.append) as endpoint:
        client = client_of(endpoint)
        message = streamed(client)
        assert slept[0] == 0.5
        assert sum(slept[1:]) == pytest.approx(message.usage.output_tokens / 100)
        slept.clear()
        create(client)
        assert sum(slept) == pytest.approx(0.5 + message.usage.output_tokens / 100)
