"""Events add up to the message they are made from."""

from __future__ import annotations

import time
from typing import Any

from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from tierlens.capture.anthropic.reply import Reply
from tierlens.capture.usage import Usage, from_anthropic

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
START_USAGE: dict[str, Any] = {
    "input_tokens": 100,
    "output_tokens": 1,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
}


def reply(*events: dict[str, Any]) -> Reply:
    made = Reply(time.perf_counter_ns)
    for event in events:
        made.add(EVENT.validate_python(event))
    return made


def start(**usage: Any) -> dict[str, Any]:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
    rest = {"stop_reason": None, "stop_sequence": None, "usage": {**START_USAGE, **usage}}
    return {"type": "message_start", "message": {**message, **rest}}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(**usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def test_blocks_are_joined_by_their_index() -> None:
    said = reply(
        start(),
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "Hm."}),
        *block(
            1,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "Good "},
            {"type": "text_delta", "text": "day."},
        ),
        *block(
            2,
            {"type": "tool_use", "id": "t", "name": "look", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"at":'},
            {"type": "input_json_delta", "partial_json": "1}"},
        ),
        *end(output_tokens=9),
    )
    message = said.message()
    thought, text, call = message["content"]
    assert (thought["thinking"], text["text"], call["input"]) == ("Hm.", "Good day.", '{"at":1}')
    assert (said.complete, message["stop_reason"], message["model"]) == (True, "end_turn", "claude")


def test_counts_that_come_later_are_totals_not_additions() -> None:
    said = reply(start(), *end(output_tokens=40, input_tokens=100, cache_read_input_tokens=20))
    assert from_anthropic(said.message()["usage"]) == Usage(420, 40, 20, 100, 200)


def test_cache_writes_of_later_model_calls_count_as_the_short_kind() -> None:
    said = reply(start(), *end(output_tokens=40, input_tokens=150, cache_creation_input_tokens=350))
    assert from_anthropic(said.message()["usage"]) == Usage(150 + 20 + 350, 40, 20, 150, 200)


def test_a_stream_cut_short_is_what_has_come_of_it() -> None:
    said = reply(start(), block(0, {"type": "text", "text": ""})[0])
    assert not said.complete
    assert said.message()["stop_reason"] is None
    assert from_anthropic(said.message()["usage"]).output == 1
