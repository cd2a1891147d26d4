"""What a caller reads of a response by itself, as bytes, text or lines: a message as JSON, or the events of a stream.

Handing Claude's answer through to a browser is done so; the client then parses nothing.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

import orjson

from tierlens.capture.anthropic.reply import Reply

MOST: Final = 8 << 20
_DATA: Final = b"data:"
_KEPT: Final = "_tierlens_kept"


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
    """Keep what is read of a response from now on; what is kept does not refer to the response."""
    kept = http_response.__dict__[_KEPT] = Kept()
    http_response.__class__ = _keeping(http_response.__class__)
    return kept


@functools.cache
def _keeping(kind: type) -> type:
    """The class of responses that keep: a method put on a response would refer to it, see `responses`."""
    if hasattr(kind, _KEPT):
        return kind
    plain, aplain = kind.iter_bytes, kind.aiter_bytes  # type: ignore[attr-defined]  # httpx's, or httpx2's

    @functools.wraps(plain)
    def iter_bytes(self: Any, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        for chunk in plain(self, *args, **kwargs):
            self.__dict__[_KEPT].add(chunk)
            yield chunk

    @functools.wraps(aplain)
    async def aiter_bytes(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        async with aclosing(aplain(self, *args, **kwargs)) as chunks:
            async for chunk in chunks:
                self.__dict__[_KEPT].add(chunk)
                yield chunk

    methods = {"iter_bytes": iter_bytes, "aiter_bytes": aiter_bytes, _KEPT: None, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), methods)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
