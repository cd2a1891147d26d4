"""Raw and streaming responses keep their ways, and are recorded when they have been read."""

from __future__ import annotations

import gc
from typing import Any

import anthropic

from tests.capture.anthropic.conftest import REQUEST, billed, counted
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.testing import ClaudeEndpoint

NAME = "anthropic.messages"
STREAMED: dict[str, Any] = {**REQUEST, "stream": True}


def test_a_raw_response_is_recorded_when_it_is_there(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    raw = wrapped.messages.with_raw_response.create(**REQUEST)
    assert counted(capture.journal.named(NAME)) == billed(endpoint)
    expected = plain.messages.with_raw_response.create(**REQUEST)
    assert type(raw) is type(expected)
    assert raw.parse() == expected.parse()
    assert raw.headers["request-id"] == expected.headers["request-id"]
    assert raw.retries_taken == 0


def test_a_raw_response_can_be_parsed_in_one_breath(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    assert wrapped.messages.with_raw_response.create(**REQUEST).parse().stop_reason == "end_turn"
    stream = iter(wrapped.messages.with_raw_response.create(**STREAMED).parse())
    next(stream)
    gc.collect()  # the response, which nobody holds
    assert list(stream)[-1].type == "message_stop"
    assert [span.attributes[keys.OUTCOME] for span in capture.journal.spans.values()] == ["ok", "ok"]


def test_a_stream_parsed_from_a_raw_response_is_recorded_as_it_is_read(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    raw = wrapped.messages.with_raw_response.create(**STREAMED)
    assert raw.parse() is raw.parse()
    assert type(raw.parse()) is anthropic.Stream
    events = list(raw.parse())
    assert counted(capture.journal.named(NAME)) == billed(endpoint)
    assert events == list(plain.messages.create(**STREAMED))


def test_a_streaming_response_is_recorded_when_it_has_been_read(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    with wrapped.messages.with_streaming_response.create(**REQUEST) as parsed:
        assert parsed.parse().stop_reason == "end_turn"
    with wrapped.messages.with_streaming_response.create(**REQUEST) as read:
        assert b"end_turn" in read.read()
    with wrapped.messages.with_streaming_response.create(**STREAMED) as streamed:
        assert list(streamed.parse())
    assert counted(*capture.journal.spans.values()) == billed(endpoint)


def test_lines_read_by_hand_leave_a_span_without_tokens(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    with wrapped.messages.with_streaming_response.create(**STREAMED) as response:
        assert any("message_stop" in line for line in response.iter_lines())
    span = capture.journal.named(NAME)
    assert span.attributes[keys.OUTCOME] == "ok"
    assert keys.TOKEN_USAGE not in span.attributes


def test_a_response_nobody_reads_is_abandoned(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    with wrapped.messages.with_streaming_response.create(**REQUEST):
        pass
    with wrapped.messages.with_streaming_response.create(**STREAMED) as response:
        next(response.parse())
    raw: Any = wrapped.messages.with_raw_response.create(**STREAMED)
    del raw, response
    gc.collect()
    unread, half_read, dropped = capture.journal.spans.values()
    assert {span.attributes[keys.OUTCOME] for span in (unread, half_read, dropped)} == {"abandoned"}
    assert counted(half_read)[0] > 0


async def test_asynchronous_responses_alike(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    raw: Any = await async_wrapped.messages.with_raw_response.create(**REQUEST)
    assert raw.status_code == 200
    async with async_wrapped.messages.with_streaming_response.create(**REQUEST) as response:
        assert (await response.parse()).stop_reason == "end_turn"
    async with async_wrapped.messages.with_streaming_response.create(**STREAMED) as streamed:
        assert [event async for event in await streamed.parse()]
    assert counted(*capture.journal.spans.values()) == billed(endpoint)
