"""A streamed call counts what the same call unstreamed counts, however its usage is cut up."""

from __future__ import annotations

import functools
from typing import Any

import anthropic.types
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from pydantic import TypeAdapter

from tierlens.capture.anthropic.reply import Reply
from tierlens.capture.usage import Usage, from_anthropic, from_langchain

EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)
counts = st.integers(0, 100_000)


def chunk(told: tuple[int, int, int, int]) -> AIMessageChunk:
    asked, answered, read, thought = told
    return AIMessageChunk(
        content="",
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": answered,
            "total_tokens": asked + answered,
            "input_token_details": {"cache_read": read},
            "output_token_details": {"reasoning": thought},
        },
    )


@given(st.lists(st.tuples(counts, counts, counts, counts), min_size=1, max_size=8), st.integers(0, 3))
def test_differences_that_langchain_adds_up_are_the_whole(told: list[tuple[int, int, int, int]], silent: int) -> None:
    chunks = [chunk(one) for one in told] + [AIMessageChunk(content="and")] * silent

    added = functools.reduce(lambda one, other: one + other, chunks)

    asked, answered, read, thought = (sum(figures) for figures in zip(*told, strict=True))
    assert added.usage_metadata is not None
    assert from_langchain(added.usage_metadata) == Usage(asked, answered, read, reasoning=thought)


@given(counts, counts, counts, counts, st.lists(counts, max_size=5), counts)
def test_totals_that_claudes_events_tell_are_never_added(
    bare: int, read: int, five: int, hour: int, growing: list[int], output: int
) -> None:
    asked = {
        "input_tokens": bare, "cache_read_input_tokens": read, "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
    }  # fmt: skip
    start = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
    start |= {"stop_reason": None, "stop_sequence": None, "usage": {**asked, "output_tokens": 1}}
    delta = {"stop_reason": None, "stop_sequence": None}
    events = [{"type": "message_start", "message": start}]
    events += [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": n}} for n in (*growing, output)]
    reply = Reply(lambda: 1)

    for event in events:
        reply.add(EVENT.validate_python(event))

    unstreamed = anthropic.types.Usage.model_validate({**asked, "output_tokens": output})
    assert from_anthropic(reply.message()["usage"]) == from_anthropic(unstreamed)
