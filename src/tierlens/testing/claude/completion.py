"""A reply turned into the content blocks, stop reason and usage of a message."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from tierlens.testing.claude import tokens
from tierlens.testing.claude.caching import InputUsage
from tierlens.testing.claude.reply import Reply
from tierlens.testing.claude.request import MessagesRequest

_UNBILLED: Final = InputUsage(0)


@dataclass(frozen=True, slots=True)
class OutputBlock:
    """One content block, as the tokens it was produced in.

    Attributes:
        kind: "thinking", "text" or "tool_use".
        pieces: tokens of the thinking, of the text, or of the tool's input as JSON.
        id: the tool call's id.
        name: the tool's name; it costs tokens of its own.
        whole: False where max_tokens cut the block.
        shown: False for thinking whose text the client asked not to see.
    """

    kind: str
    pieces: Sequence[str]
    id: str = ""
    name: str = ""
    whole: bool = True
    shown: bool = True

    @property
    def tokens(self) -> int:
        """Output tokens billed for the block."""
        return len(self.pieces) + self.opening_tokens

    @property
    def opening_tokens(self) -> int:
        """Output tokens billed with the block's start event: those of the tool's name."""
        return tokens.count(self.name)

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)

    def to_wire(self) -> dict[str, Any]:
        """The block as a finished message holds it; a tool input that was cut is empty."""
        if self.kind == "text":
            return {"type": "text", "text": self.text}
        if self.kind == "thinking":
            shown = self.text if self.shown else ""
            return {"type": "thinking", "thinking": shown, "signature": signature(self.text)}
        tool_input = orjson.loads(self.text) if self.whole else {}
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": tool_input}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer, before it is sent in one piece or as a stream."""

    id: str
    model: str
    blocks: Sequence[OutputBlock]
    stop_reason: str
    stop_sequence: str | None
    thinks: bool
    service_tier: str
    input: InputUsage = _UNBILLED

    @property
    def output_tokens(self) -> int:
        """All output tokens."""
        return sum(block.tokens for block in self.blocks)

    def usage(self, output_tokens: int) -> dict[str, Any]:
        """Anthropic's usage object, with ``output_tokens`` as produced so far."""
        spent = self.input
        usage: dict[str, Any] = {
            "input_tokens": spent.input_tokens,
            "cache_creation_input_tokens": spent.cache_write,
            "cache_read_input_tokens": spent.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": spent.cache_write_5m,
                "ephemeral_1h_input_tokens": spent.cache_write_1h,
            },
            "output_tokens": output_tokens,
            "service_tier": self.service_tier,
        }
        return usage | self.thinking_usage()

    def thinking_usage(self) -> dict[str, Any]:
        """The share of the output that was thinking; only where thinking was asked for."""
        if not self.thinks:
            return {}
        thought = sum(block.tokens for block in self.blocks if block.kind == "thinking")
        return {"output_tokens_details": {"thinking_tokens": thought}}

    def to_wire(self) -> dict[str, Any]:
        """The body of a non-streaming answer."""
        return self.envelope() | {
            "content": [block.to_wire() for block in self.blocks],
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            "usage": self.usage(self.output_tokens),
        }

    def envelope(self) -> dict[str, Any]:
        """The members that are known before the first token."""
        return {"id": self.id, "type": "message", "role": "assistant", "model": self.model}


def complete(
    request: MessagesRequest,
    reply: Reply,
    new_id: Callable[[str], str],
    service_tier: str,
) -> Completion:
    """The message for ``reply``, cut at stop sequences and max_tokens as a model producing it would be.

    Its input has yet to be billed.

    Args:
        new_id: makes an id that begins with what it is given, such as "msg_01".
    """
    blocks = _blocks(request, reply, new_id)
    blocks, met = _cut_at_stop_sequence(blocks, request.body.get("stop_sequences") or ())
    limit = request.body["max_tokens"]
    if sum(block.tokens for block in blocks) > limit or limit == 0:
        blocks, met, reason = _cut_at_tokens(blocks, limit), None, "max_tokens"
    elif met is not None:
        reason = "stop_sequence"
    else:
        reason = "tool_use" if reply.tool_calls else "end_turn"
    model, thinks = request.model, request.thinks
    return Completion(new_id("msg_01"), model, blocks, reason, met, thinks, service_tier)


def signature(thinking: str) -> str:
    """The signature the endpoint gives to a thinking text, and knows it by when it comes back."""
    return base64.b64encode(hashlib.sha512(b"offline-claude:" + thinking.encode()).digest()).decode()


def _blocks(request: MessagesRequest, reply: Reply, new_id: Callable[[str], str]) -> list[OutputBlock]:
    blocks = []
    if request.thinks:
        shown = (request.body["thinking"].get("display") or "summarized") != "omitted"
        thought = reply.thinking or "The question and its figures are plain, so I answer from them directly."
        blocks.append(OutputBlock("thinking", tokens.split(thought), shown=shown))
    if reply.text:
        blocks.append(OutputBlock("text", tokens.split(reply.text)))
    for call in reply.tool_calls:
        pieces = tokens.split(orjson.dumps(dict(call.input)).decode())
        blocks.append(OutputBlock("tool_use", pieces, new_id("toolu_01"), call.name))
    return blocks


def _cut_at_stop_sequence(blocks: list[OutputBlock], sequences: Sequence[str]) -> tuple[list[OutputBlock], str | None]:
    """The blocks up to the first stop sequence in a text, which is not part of the answer."""
    for at, block in enumerate(blocks):
        if block.kind != "text":
            continue
        found = [(where, mark) for mark in sequences if (where := block.text.find(mark)) >= 0]
        if found:
            where, mark = min(found)
            cut = replace(block, pieces=tokens.split(block.text[:where]))
            return [*blocks[:at], *([cut] if where else [])], mark
    return blocks, None


def _cut_at_tokens(blocks: Sequence[OutputBlock], limit: int) -> list[OutputBlock]:
    """The blocks that ``limit`` tokens are enough for; the last may be cut, not before its first token."""
    kept: list[OutputBlock] = []
    for block in blocks:
        room = limit - block.opening_tokens
        if room <= 0:
            break
        if len(block.pieces) > room:
            return [*kept, replace(block, pieces=block.pieces[:room], whole=False)]
        kept.append(block)
        limit -= block.tokens
    return kept
