"""A streamed message put together from its events, once, at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tierlens.capture.shapes import all_fields, fields

_TEXT_OF_DELTA: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "compaction_delta": "content",
}
_TEXT_OF_BLOCK: Final = {"text": "text", "thinking": "thinking", "compaction": "content"}


class Reply:
    """What a stream has said so far.

    Of an event nothing but its text is kept: an event kept alive costs 2 µs, for the memory the next one then
    cannot have.

    Args:
        now: the clock of its trace, in nanoseconds.

    Attributes:
        first_ns: when the first of the answer came, 0 before.
        complete: the message's end has come.
    """

    __slots__ = ("_blocks", "_head", "_now", "_stop_reason", "_texts", "_usage", "complete", "first_ns")

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.first_ns = 0
        self._head: Mapping[str, Any] = {}
        self._blocks: dict[int, Mapping[str, Any]] = {}
        self._texts: defaultdict[int, list[str]] = defaultdict(list)
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self.complete = False

    def add(self, event: Any) -> None:
        """Take in one event."""
        if event.type != "content_block_delta":
            self._note(event)
            return
        if not self.first_ns:
            self.first_ns = self._now()
        delta = event.delta
        member = _TEXT_OF_DELTA.get(delta.type)
        if member is not None:
            self._texts[event.index].append(getattr(delta, member) or "")

    def _note(self, event: Any) -> None:
        kind = event.type
        if kind == "content_block_start":
            self._blocks[event.index] = fields(event.content_block)
        elif kind == "message_start":
            self._head = fields(event.message)
            self._count(self._head.get("usage"))
        elif kind == "message_delta":
            self._stop_reason = fields(event.delta).get("stop_reason")
            self._count(event.usage)
        elif kind == "message_stop":
            self.complete = True

    def _count(self, usage: object) -> None:
        """Later counts are totals, not additions; what a later event leaves out stands as it was."""
        self._usage.update((name, count) for name, count in all_fields(usage).items() if count is not None)

    @property
    def begun(self) -> bool:
        return bool(self._head)

    def message(self) -> dict[str, Any]:
        """The message so far, as the API gives it when asked without streaming; a tool's input is JSON text."""
        return {
            "model": self._head.get("model"),
            "content": [_block(block, self._texts.get(index, ())) for index, block in sorted(self._blocks.items())],
            "stop_reason": self._stop_reason,
            "usage": self._usage,
        }


def _block(start: Mapping[str, Any], pieces: Sequence[str]) -> Mapping[str, Any]:
    if not pieces:
        return start
    return {**start, _TEXT_OF_BLOCK.get(start.get("type", ""), "input"): "".join(pieces)}
