"""A completion as Anthropic's server-sent events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens.testing.claude.completion import Completion, OutputBlock, signature

_DELTAS: Final = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event and the output tokens that were produced for it."""

    wire: bytes
    tokens: int = 0


def events(completion: Completion, tokens_per_delta: int) -> Iterator[Event]:
    """In order: message_start, ping, each block's start, deltas and stop, message_delta, message_stop.

    ``message_start`` carries the whole input usage; ``message_delta`` repeats it with the final output tokens
    and, as Anthropic's does, without the split of cache writes by lifetime.
    """
    opening = completion.envelope() | {"content": [], "stop_reason": None, "stop_sequence": None}
    opening["usage"] = completion.usage(min(1, completion.output_tokens))
    opening["usage"].pop("output_tokens_details", None)
    yield Event(encode("message_start", {"message": opening}))
    yield Event(encode("ping", {}))
    for index, block in enumerate(completion.blocks):
        yield from _block_events(index, block, tokens_per_delta)
    yield Event(encode("message_delta", _ending(completion)))
    yield Event(encode("message_stop", {}))


def encode(kind: str, payload: dict[str, Any]) -> bytes:
    """``event: …`` and ``data: …`` lines, closed by an empty line."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **payload}))


def _block_events(index: int, block: OutputBlock, tokens_per_delta: int) -> Iterator[Event]:
    start = {"index": index, "content_block": _empty(block)}
    yield Event(encode("content_block_start", start), block.opening_tokens)
    kind, member = _DELTAS[block.kind]
    for pieces in _groups(block.pieces, tokens_per_delta):
        # Hidden thinking is still produced and paid for: its time passes and its tokens count, unseen.
        delta = {"type": kind, member: "".join(pieces)}
        wire = encode("content_block_delta", {"index": index, "delta": delta}) if block.shown else b""
        yield Event(wire, len(pieces))
    if block.kind == "thinking":
        sealed = {"type": "signature_delta", "signature": signature(block.text)}
        yield Event(encode("content_block_delta", {"index": index, "delta": sealed}))
    yield Event(encode("content_block_stop", {"index": index}))


def _empty(block: OutputBlock) -> dict[str, Any]:
    """The block as its start event shows it."""
    if block.kind == "text":
        return {"type": "text", "text": ""}
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


def _ending(completion: Completion) -> dict[str, Any]:
    usage = completion.usage(completion.output_tokens)
    del usage["cache_creation"], usage["service_tier"]
    delta = {"stop_reason": completion.stop_reason, "stop_sequence": completion.stop_sequence}
    return {"delta": delta, "usage": usage}


def _groups(pieces: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(pieces), size):
        yield pieces[at : at + size]
