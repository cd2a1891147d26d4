"""What Claude samples beside its answer is billed, and recorded as calls of its own below the call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from langchain_anthropic import ChatAnthropic

from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.wrapping import wrap
from tierlens.spans import Span
from tierlens.testing.http_stub import HttpStub, Reply

MODEL = "claude-opus-4-8"
REQUEST: Any = {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "Why?"}]}
ITERATIONS = [
    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500,
     "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5},
    {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000,
     "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
    {"type": "advisor_message", "model": "claude-fable-5", "input_tokens": 900, "output_tokens": 600,
     "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
]  # fmt: skip
FALLBACK = [{"type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 5, "output_tokens": 1}]
USAGE = {"input_tokens": 23_000, "output_tokens": 1_000, "speed": "fast", "inference_geo": "us"}


def message(iterations: list[dict[str, Any]] = ITERATIONS) -> dict[str, Any]:
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn"}
    usage = {**USAGE, "iterations": iterations}
    return {**told, "stop_sequence": None, "content": [{"type": "text", "text": "So."}], "usage": usage}


def answering(body: bytes, kind: str = "application/json") -> HttpStub:
    return HttpStub(otherwise=Reply(headers={"Content-Type": kind}, body=body))


def events() -> bytes:
    whole = message()
    last = {"output_tokens": 1_000, "iterations": ITERATIONS}
    told = [
        {"type": "message_start", "message": {**whole, "content": [], "usage": {**USAGE, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": last},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told)


@pytest.fixture
def cloud() -> Iterator[HttpStub]:
    with answering(json.dumps(message()).encode()) as started:
        yield started


def client(stub: HttpStub) -> anthropic.Anthropic:
    return wrap(anthropic.Anthropic(base_url=stub.uri, api_key="offline", max_retries=0))


def took(span: Span) -> tuple[int, int]:
    usage = json.loads(str(span.attributes[keys.TOKEN_USAGE]))
    return usage["input_tokens"], usage["output_tokens"]


def check(capture: Capture, name: str) -> None:
    call, compaction, advisor = (capture.journal.named(one) for one in (name, "compaction", "advisor"))
    assert {compaction.parent_id, advisor.parent_id} == {call.span_id}
    assert (took(call), took(compaction), took(advisor)) == ((23_000, 1_000), (180_015, 3_500), (900, 600))
    assert [span.attributes[keys.MODEL] for span in (call, compaction, advisor)] == [MODEL, MODEL, "claude-fable-5"]
    assert [span.attributes.get(keys.SERVICE_TIER) for span in (call, compaction, advisor)] == ["fast", "fast", None]
    assert {span.attributes[keys.PRICE_SHARE] for span in (call, compaction, advisor)} == {1.1}
    assert {span.attributes[keys.PROVIDER] for span in (call, compaction, advisor)} == {"anthropic"}


def test_compactions_and_advice_are_calls_below_the_call(capture: Capture, cloud: HttpStub) -> None:
    client(cloud).beta.messages.create(**REQUEST)
    check(capture, "anthropic.messages")


def test_a_client_that_knows_no_such_field_hands_them_on_too(capture: Capture, cloud: HttpStub) -> None:
    client(cloud).messages.create(**REQUEST)
    check(capture, "anthropic.messages")


def test_a_stream_tells_of_them_at_its_end(capture: Capture) -> None:
    with answering(events(), "text/event-stream") as cloud, client(cloud).beta.messages.stream(**REQUEST) as stream:
        stream.until_done()
    check(capture, "anthropic.messages")


def test_langchain_hands_them_on(capture: Capture, cloud: HttpStub) -> None:
    model = ChatAnthropic(model=MODEL, base_url=cloud.uri, api_key="offline", max_retries=0)
    model.invoke("Why?", capture.config())
    check(capture, "ChatAnthropic")


def test_those_of_a_batch_are_the_same_however_often_it_is_read(capture: Capture) -> None:
    line = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": message()}}).encode()
    batch = b'{"id":"b1","type":"message_batch","results_url":"/v1/messages/batches/b1/results"}'
    ids = []
    for _ in range(2):
        with HttpStub(Reply(body=batch), Reply(body=line)) as cloud:
            list(client(cloud).messages.batches.results("b1"))
        ids.append({capture.journal.named(name).span_id for name in ("compaction", "advisor")})
        capture.recorder.batches.clear()
    assert ids[0] == ids[1]
    assert took(capture.journal.named("compaction")) == (180_015, 3_500)


def test_an_answer_of_the_model_that_stood_in_is_priced_as_its(capture: Capture) -> None:
    with answering(json.dumps(message(FALLBACK)).encode()) as cloud:
        client(cloud).beta.messages.create(**{**REQUEST, "model": "claude-fable-5"})
    (call,) = capture.journal.spans.values()
    assert call.attributes[keys.MODEL] == "claude-opus-4-8"


@pytest.mark.parametrize("odd", [None, [], "no list", [None, 3, {"type": "message"}], [{"type": "advisor_message"}]])
def test_what_is_no_such_list_changes_nothing(capture: Capture, odd: Any) -> None:
    capture.recorder.shield.strict = False
    with answering(json.dumps(message(odd)).encode()) as cloud:
        client(cloud).beta.messages.create(**REQUEST)
    assert took(capture.journal.named("anthropic.messages")) == (23_000, 1_000)
