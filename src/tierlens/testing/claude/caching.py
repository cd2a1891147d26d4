"""Prompt caching as Anthropic documents it: prefixes written at marked blocks and read until they expire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tierlens.testing.claude.prompt import PromptBlock

TTL_S: Final = {"5m": 300.0, "1h": 3600.0}
LOOKBACK_BLOCKS: Final = 20


@dataclass(frozen=True, slots=True)
class InputUsage:
    """How a request's input is billed; the four numbers add up to all its input tokens."""

    input_tokens: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def cache_write(self) -> int:
        """Tokens written to the cache, whatever their lifetime."""
        return self.cache_write_5m + self.cache_write_1h


@dataclass(slots=True)
class _Entry:
    ttl_s: float
    expires_s: float


class PromptCache:
    """The prefixes written so far, by model. Of two equal requests at once, one writes and one reads.

    Args:
        min_tokens: the shortest prefix a model caches.
        clock: seconds since any fixed moment.
    """

    def __init__(self, min_tokens: Callable[[str], int], clock: Callable[[], float]) -> None:
        self._min_tokens, self._clock = min_tokens, clock
        self._entries: dict[tuple[str, bytes], _Entry] = {}
        self._lock = threading.Lock()

    def bill(self, model: str, blocks: Sequence[PromptBlock]) -> InputUsage:
        """Reads the longest live prefix, writes those marked beyond it, and says what each part costs."""
        total = blocks[-1].total if blocks else 0
        shortest = self._min_tokens(model)
        marks = [at for at, block in enumerate(blocks) if block.ttl and block.total >= shortest]
        if not marks:
            return InputUsage(total)
        with self._lock:
            now = self._clock()
            self._forget_expired(now)
            hit = self._longest_hit(model, blocks, marks)
            self._keep(model, blocks, marks, hit, now)
        return split(blocks, marks, hit)

    def _longest_hit(self, model: str, blocks: Sequence[PromptBlock], marks: Sequence[int]) -> int | None:
        reachable = {at for mark in marks for at in range(max(0, mark - LOOKBACK_BLOCKS + 1), mark + 1)}
        alive = (at for at in sorted(reachable, reverse=True) if (model, blocks[at].prefix) in self._entries)
        return next(alive, None)

    def _keep(
        self, model: str, blocks: Sequence[PromptBlock], marks: Sequence[int], hit: int | None, now: float
    ) -> None:
        """Writes the marked prefixes; those that are there already begin their lifetime anew."""
        for at in marks if hit is None else (*marks, hit):
            key = (model, blocks[at].prefix)
            entry = self._entries.get(key) or _Entry(TTL_S[blocks[at].ttl or "5m"], now)
            entry.expires_s = now + entry.ttl_s
            self._entries[key] = entry

    def _forget_expired(self, now: float) -> None:
        for key in [key for key, entry in self._entries.items() if entry.expires_s <= now]:
            del self._entries[key]


def split(blocks: Sequence[PromptBlock], marks: Sequence[int], hit: int | None) -> InputUsage:
    """The bill for a request read up to block ``hit`` and written up to its last mark.

    As documented for mixed lifetimes: read up to A, the hit; 1-hour writes from A to B, the last 1-hour mark;
    5-minute writes from B to C, the last mark; plain input after C.
    """
    read = 0 if hit is None else blocks[hit].total
    hour = max([read, *(blocks[at].total for at in marks if blocks[at].ttl == "1h")])
    end = max(read, blocks[marks[-1]].total)
    return InputUsage(blocks[-1].total - end, read, max(0, end - hour), hour - read)
