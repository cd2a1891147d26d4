"""Streams of a wrapped client: the same events, and one span that tells how it ended."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anthropic
import orjson
import pytest
from anthropic.lib.streaming import MessageStream

from tests.capture.anthropic.conftest import REQUEST, WEATHER, billed, counted, read
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.decorators import agent
from tierlens.capture.wrapping import wrap
from tierlens.spans import Span
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.http_stub import HttpStub
from tierlens.testing.http_stub import Reply as HttpReply

NAME = "anthropic.messages"
STREAMED: dict[str, Any] = {**REQUEST, "stream": True}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 1},
    },
}
FORMS: dict[str, dict[str, Any]] = {
    "text": {},
    "tool": {"tools": [WEATHER], "tool_choice": {"type": "any"}},
    "thinking": {"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}},
    "cut": {"max_tokens": 3},
}


def reply_of(span: Span) -> dict[str, Any]:
    (choice,) = read(span, keys.OUTPUTS)["choices"]
    return choice


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_events_are_those_of_the_plain_client(
    capture: Capture,
    plain: anthropic.Anthropic,
    wrapped: anthropic.Anthropic,
    async_wrapped: anthropic.AsyncAnthropic,
    form: dict[str, Any],
) -> None:
    request: Any = {**STREAMED, **form}
    expected = list(plain.messages.create(**request))
    stream = wrapped.messages.create(**request)
    assert type(stream) is anthropic.Stream
    assert list(stream) == expected
    async_stream = await async_wrapped.messages.create(**request)
    assert type(async_stream) is anthropic.AsyncStream
    assert [event async for event in async_stream] == expected
    assert list(wrapped.beta.messages.create(**request)) == list(plain.beta.messages.create(**request))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_streamed_answer_is_recorded_like_a_whole_one(
    capture: Capture, wrapped: anthropic.Anthropic, form: dict[str, Any]
) -> None:
    wrapped.messages.create(**{**REQUEST, **form})
    whole = capture.journal.named(NAME)
    capture.journal.spans.clear()
    list(wrapped.messages.create(**{**STREAMED, **form}))
    streamed = capture.journal.named(NAME)
    for key in (keys.OUTPUTS, keys.TOKEN_USAGE, keys.INPUTS):
        assert read(streamed, key) == read(whole, key)
    assert streamed.attributes[keys.TTFT_MS] > 0
    assert streamed.attributes[keys.TOKENS_PER_S] > 0
    assert keys.TTFT_MS not in whole.attributes


def test_the_helper_gives_what_it_gave(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic
) -> None:
    def told(client: anthropic.Anthropic) -> tuple[Any, ...]:
        with client.messages.stream(**REQUEST) as stream:
            assert isinstance(stream, MessageStream)
            text = "".join(stream.text_stream)
            return text, stream.get_final_message(), stream.get_final_text(), stream.request_id

    assert told(wrapped) == told(plain)
    assert reply_of(capture.journal.named(NAME))["message"]["content"] == told(plain)[0]


async def test_the_asynchronous_helper_gives_what_it_gave(
    capture: Capture, async_plain: anthropic.AsyncAnthropic, async_wrapped: anthropic.AsyncAnthropic
) -> None:
    async def told(client: anthropic.AsyncAnthropic) -> tuple[Any, ...]:
        async with client.messages.stream(**REQUEST) as stream:
            kinds = [event.type async for event in stream]
            return kinds, await stream.get_final_message()

    assert await told(async_wrapped) == await told(async_plain)
    assert capture.journal.named(NAME).status == "OK"


def test_tokens_are_counted_once_with_what_the_cache_held(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    text = "Every market has its own access rules. " * 400
    system: Any = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for _ in range(2):
        list(wrapped.messages.create(**STREAMED, system=system))
        with wrapped.messages.stream(**REQUEST, system=system) as stream:
            stream.until_done()
    assert counted(*capture.journal.spans.values()) == billed(endpoint)
    first = next(iter(capture.journal.spans.values()))
    assert read(first, keys.TOKEN_USAGE)["cache_creation_input_tokens_above_1hr"] > 0


def leave_open(stream: Any) -> None:
    next(stream)


def close(stream: Any) -> None:
    with closing(stream):
        next(stream)


def leave_block(stream: Any) -> None:
    with stream:
        next(stream)


def never_read(stream: Any) -> None:
    stream.close()


@pytest.mark.parametrize("leave", [leave_open, close, leave_block, never_read])
def test_a_stream_left_early_is_abandoned_with_the_tokens_so_far(
    capture: Capture, wrapped: anthropic.Anthropic, leave: Callable[[Any], None]
) -> None:
    stream = wrapped.messages.create(**STREAMED)
    leave(stream)
    del stream
    gc.collect()
    span = capture.journal.named(NAME)
    assert span.attributes[keys.OUTCOME] == "abandoned"
    assert span.status == "OK"
    if leave is not never_read:
        assert counted(span)[:2] == (read(span, keys.TOKEN_USAGE)["input_tokens"], 1)


def test_a_dropped_stream_closes_its_connection_at_once(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    stream = wrapped.messages.create(**STREAMED)
    next(stream)
    response = stream.response
    del stream
    gc.collect()
    assert response.is_closed


async def test_an_asynchronous_stream_left_early_is_abandoned(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic
) -> None:
    async with await async_wrapped.messages.create(**STREAMED) as stream:
        async for event in stream:
            if event.type == "content_block_delta":
                break
    async with async_wrapped.messages.stream(**REQUEST) as helper:
        async for _ in helper.text_stream:
            break
    first, second = capture.journal.spans.values()
    assert first.attributes[keys.OUTCOME] == second.attributes[keys.OUTCOME] == "abandoned"
    assert reply_of(first)["message"]["content"]


def test_leaving_after_the_messages_end_is_no_leaving(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    with wrapped.messages.create(**STREAMED) as stream:
        for event in stream:
            if event.type == "message_stop":
                break
    assert capture.journal.named(NAME).attributes[keys.OUTCOME] == "ok"


@pytest.mark.parametrize("status", [529, 0], ids=["an error event", "a broken connection"])
async def test_a_stream_that_breaks_is_an_error_with_what_had_come(
    capture: Capture,
    endpoint: ClaudeEndpoint,
    plain: anthropic.Anthropic,
    wrapped: anthropic.Anthropic,
    async_wrapped: anthropic.AsyncAnthropic,
    status: int,
) -> None:
    def broken(client: anthropic.Anthropic) -> tuple[type[BaseException], str]:
        endpoint.fail_next(status, after_events=5)
        with pytest.raises(Exception) as raised:
            list(client.messages.create(**STREAMED))
        return raised.type, str(raised.value)

    assert broken(wrapped) == broken(plain)
    raised = broken(plain)[0]
    endpoint.fail_next(status, after_events=5)
    with pytest.raises(raised):
        [event async for event in await async_wrapped.messages.create(**STREAMED)]
    for span in capture.journal.spans.values():
        assert span.status == "ERROR"
        assert span.events[0].name == "exception"
        assert reply_of(span)["message"]["content"]
        assert counted(span)[0] > 0


def serving(*events: dict[str, Any]) -> HttpStub:
    """A server that streams these events, whatever is asked."""
    body = b"".join(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in events)
    return HttpStub(otherwise=HttpReply(headers={"Content-Type": "text/event-stream"}, body=body))


def test_a_stream_that_ends_without_a_word_before_its_message_does_is_an_error(capture: Capture) -> None:
    with serving(START) as server:
        client = wrap(anthropic.Anthropic(base_url=server.uri, api_key="offline"))
        assert len(list(client.messages.create(**STREAMED))) == 1
    span = capture.journal.named(NAME)
    assert (span.status, span.message) == ("ERROR", "the stream ended before its message did")
    assert counted(span)[:2] == (7, 1)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0},
        {"type": "something_new", "index": 0},
    ],
    ids=["no text", "no delta", "unknown"],
)
def test_events_that_cannot_be_read_are_passed_on_all_the_same(capture: Capture, odd: dict[str, Any]) -> None:
    capture.recorder.shield.strict = False
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    with serving(START, begun, odd, {"type": "message_stop"}) as server:
        client = anthropic.Anthropic(base_url=server.uri, api_key="offline")
        assert list(wrap(client).messages.create(**STREAMED)) == list(client.messages.create(**STREAMED))
    assert capture.journal.named(NAME).attributes[keys.OUTCOME] == "ok"


def test_a_stream_read_to_its_end_after_its_agent_has_ended_still_brings_its_tokens(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    @agent("talker")
    def talk() -> Any:
        return wrapped.messages.create(**STREAMED)

    stream = talk()
    assert capture.journal.named(NAME).attributes[keys.OUTCOME] == "abandoned"
    list(stream)
    call = capture.journal.named(NAME)
    assert keys.OUTCOME not in call.attributes
    assert call.parent_id == capture.journal.named("talker").span_id
    assert counted(call) == billed(endpoint)
