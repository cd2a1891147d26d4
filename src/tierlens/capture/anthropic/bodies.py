"""What a caller reads of a response by itself, as bytes, text or lines: a message as JSON, or the events of a stream.

Handing Claude's answer through to a browser is done so; the client then parses nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

import orjson

from tierlens.capture.anthropic.reply import Reply

MOST: Final = 8 << 20
_DATA: Final = b"data:"


class Kept:
    """The bytes that went through a response, as long as they are wanted and not too many."""

    __slots__ = ("_chunks", "_size", "wanted")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self.wanted = True

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self.wanted = self.wanted and self._size <= MOST
        if self.wanted:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def message(self, now: Callable[[], int]) -> tuple[Mapping[str, Any] | None, bool]:
        """The message in what was read, None where it is none, and whether it is all of it."""
        body = b"".join(self._chunks)
        if body.lstrip()[:1] == b"{":
            try:
                return orjson.loads(body), True
            except orjson.JSONDecodeError:
                return None, False
        reply = Reply(now)
        for line in body.splitlines():
            if line.startswith(_DATA) and isinstance(event := _parsed(line[len(_DATA) :]), dict):
                reply.add(_Seen(event))
        return (reply.message() if reply.begun else None), reply.complete


class _Seen(dict[str, Any]):
    """A JSON object whose members are read as those of the client's own events are."""

    def __getattr__(self, name: str) -> Any:
        value = self.get(name)
        return _Seen(value) if isinstance(value, dict) else value


def keep(http_response: Any) -> Kept:
    """Keep what is read of a response from now on; the response is not kept alive."""
    kept, alive = Kept(), weakref.ref(http_response)
    plain, aplain = type(http_response).iter_bytes, type(http_response).aiter_bytes

    def iter_bytes(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        for chunk in plain(alive(), *args, **kwargs):
            kept.add(chunk)
            yield chunk

    async def aiter_bytes(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        async with aclosing(aplain(alive(), *args, **kwargs)) as chunks:
            async for chunk in chunks:
                kept.add(chunk)
                yield chunk

    http_response.iter_bytes, http_response.aiter_bytes = iter_bytes, aiter_bytes
    return kept


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
