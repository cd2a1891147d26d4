"""A request as the sequence of blocks it is billed and cached by: tools, then system, then messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens.testing.claude import tokens
from tierlens.testing.claude.request import Json

TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_IMAGE: Final = 1_600
TOKENS_PER_PDF: Final = 3_000


@dataclass(frozen=True, slots=True)
class PromptBlock:
    """One tool, system block or content block.

    Attributes:
        prefix: hash of everything up to and including this block, but for ``cache_control`` marks.
        tokens: the block's own tokens.
        total: tokens of everything up to and including this block.
        ttl: "5m" or "1h" where the block ends a cached prefix, else None.
        where: path of the block in the request, as Anthropic's errors write it.
    """

    prefix: bytes
    tokens: int
    total: int
    ttl: str | None
    where: str


def blocks_of(body: Json) -> list[PromptBlock]:
    """The blocks of a request in caching order; the last one's ``total`` is the request's input tokens.

    As with Anthropic, another ``tool_choice`` or ``thinking`` changes the prefixes from the first message on,
    and none before.
    """
    digest, total, found = hashlib.sha256(), 0, []
    for where, tag, block, extra in _parts(body):
        own = extra + block_tokens(block)
        total += own
        digest.update(tag + _canonical(block))
        found.append(PromptBlock(digest.digest(), own, total, _ttl(block), where))
    return _with_automatic_mark(body, found)


def input_tokens(body: Json) -> int:
    """All input tokens of a request, cached or not."""
    blocks = blocks_of(body)
    return blocks[-1].total if blocks else 0


def block_tokens(block: Json) -> int:
    """Tokens of one block: its text, or its JSON where it has none; images and PDFs count a flat number."""
    kind = block.get("type")
    if kind == "text":
        return tokens.count(block["text"])
    if kind == "image":
        return TOKENS_PER_IMAGE
    if kind == "document":
        return _document_tokens(block)
    if kind == "thinking":
        return tokens.count(block.get("thinking", ""))
    if kind == "tool_result":
        return tokens.count(block["tool_use_id"]) + sum(map(block_tokens, as_blocks(block.get("content"))))
    if kind == "tool_use":
        return tokens.count(block["name"]) + tokens.count(orjson.dumps(block["input"]).decode())
    return tokens.count(_canonical(block).decode())


def as_blocks(content: Any) -> list[Json]:
    """Content as a list of blocks; a string is one text block, None is no block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def _parts(body: Json) -> Iterator[tuple[str, bytes, Json, int]]:
    """(path, tag that keeps the levels apart in the hash, block, tokens of its frame) of every block."""
    for at, tool in enumerate(body.get("tools") or ()):
        yield f"tools.{at}", b"\x00tool", tool, 0
    for at, block in enumerate(as_blocks(body.get("system"))):
        yield f"system.{at}", b"\x00system", block, 0
    mode = orjson.dumps([body.get("tool_choice"), body.get("thinking")])
    for turn, message in enumerate(body["messages"]):
        tag = b"\x00" + message["role"].encode() + mode
        for at, block in enumerate(as_blocks(message["content"])):
            yield f"messages.{turn}.content.{at}", tag, block, 0 if at else TOKENS_PER_MESSAGE


def _document_tokens(block: Json) -> int:
    source = block.get("source") or {}
    if source.get("type") == "text":
        return tokens.count(str(source.get("data", "")))
    if source.get("type") == "content":
        return sum(map(block_tokens, as_blocks(source.get("content"))))
    return TOKENS_PER_PDF


def _canonical(block: Json) -> bytes:
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    return orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)


def _ttl(block: Json) -> str | None:
    mark = block.get("cache_control")
    return (mark.get("ttl") or "5m") if mark else None


def _with_automatic_mark(body: Json, blocks: list[PromptBlock]) -> list[PromptBlock]:
    """A mark on the request itself stands on its last block, unless that has one of its own."""
    ttl = _ttl(body)
    if ttl is None or not blocks or blocks[-1].ttl:
        return blocks
    last = blocks[-1]
    return [*blocks[:-1], PromptBlock(last.prefix, last.tokens, last.total, ttl, last.where)]
