"""Raw and streaming responses keep their ways, and are recorded when they have been read."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anthropic
import pytest

from tests.capture.anthropic.conftest import REQUEST, billed, counted
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.anthropic import bodies
from tierlens.capture.wrapping import wrap
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.http_stub import HttpStub, Reply

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


READERS: dict[str, Any] = {
    "bytes": lambda response: b"".join(response.iter_bytes()),
    "few bytes": lambda response: b"".join(response.iter_bytes(7)),
    "text": lambda response: "".join(response.iter_text()),
    "lines": lambda response: list(response.iter_lines()),
    "httpx": lambda response: b"".join(response.http_response.iter_bytes()),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("request_", [REQUEST, STREAMED], ids=["whole", "streamed"])
def test_what_is_read_by_hand_is_counted(
    capture: Capture,
    plain: anthropic.Anthropic,
    wrapped: anthropic.Anthropic,
    endpoint: ClaudeEndpoint,
    read: Any,
    request_: Any,
) -> None:
    with wrapped.messages.with_streaming_response.create(**request_) as response:
        said = read(response)
    span = capture.journal.named(NAME)
    assert counted(span) == billed(endpoint)
    assert span.attributes[keys.OUTCOME] == "ok"
    assert "This is how I read it" in str(span.attributes[keys.OUTPUTS])
    with plain.messages.with_streaming_response.create(**request_) as response:
        assert read(response) == said


def test_a_response_asked_for_as_it_came_is_counted(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    raw = wrapped.messages.with_raw_response.create(**REQUEST).http_response
    assert wrapped.post("/v1/messages", body=REQUEST, cast_to=type(raw)).json() == raw.json()
    assert counted(*capture.journal.spans.values()) == billed(endpoint)


def test_what_is_read_by_hand_and_left_is_abandoned(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    with wrapped.messages.with_streaming_response.create(**STREAMED) as response:
        next(response.iter_lines())
        del response
    span = capture.journal.named(NAME)
    assert span.attributes[keys.OUTCOME] == "abandoned"


async def test_what_asynchronous_code_reads_by_hand_is_counted(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    async with async_wrapped.messages.with_streaming_response.create(**STREAMED) as response:
        assert [line async for line in response.iter_lines()]
    async with async_wrapped.messages.with_streaming_response.create(**REQUEST) as response:
        assert [chunk async for chunk in response.iter_bytes()]
    assert counted(*capture.journal.spans.values()) == billed(endpoint)


@pytest.mark.parametrize("body", [b"", b"{", b"data: {", b"data: 3\n", b"data: {}\n", b"\x00\xff", b'{"a":1}'])
def test_what_is_no_message_leaves_a_span_without_tokens(capture: Capture, body: bytes) -> None:
    with HttpStub(otherwise=Reply(body=body)) as cloud:
        client = wrap(anthropic.Anthropic(base_url=cloud.uri, api_key="offline", max_retries=0))
        with client.messages.with_streaming_response.create(**REQUEST) as response:
            assert b"".join(response.iter_bytes()) == body
    assert keys.TOKEN_USAGE not in capture.attributes(NAME)


def test_of_an_endless_answer_nothing_is_kept() -> None:
    kept = bodies.Kept()
    for _ in range(bodies.MOST // 1024 + 2):
        kept.add(b"x" * 1024)
    assert not kept.wanted
    assert kept.message(lambda: 1) == (None, False)


def _is_freed_at_once(client: anthropic.Anthropic, streaming: bool) -> bool:
    """Whether a half-read stream goes with its last reference, and not with the next garbage collection."""
    gc.collect()
    gc.disable()
    try:
        kind = "with_streaming_response" if streaming else "with_raw_response"
        made = getattr(client.messages, kind).create(**STREAMED)
        stream = (made.__enter__() if streaming else made).parse()
        next(stream)
        left = weakref.ref(stream)
        del made, stream
        return left() is None
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.parametrize("streaming", [False, True], ids=["raw", "streaming"])
def test_a_half_read_stream_is_freed_when_the_clients_own_would_be(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, streaming: bool
) -> None:
    assert _is_freed_at_once(wrapped, streaming) == _is_freed_at_once(plain, streaming)


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
