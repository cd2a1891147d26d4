"""Streams looked at on their way: the object stays the one the client made, and so does its every event.

Only two things of a stream are replaced on the instance, the iterator that feeds it and ``close``; neither refers
to the stream, since a stream that is dropped must close its connection at once, not at the next garbage collection.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Protocol

from tierlens.capture import outcomes
from tierlens.capture.anthropic.call import Call
from tierlens.capture.anthropic.reply import Reply
from tierlens.capture.outcomes import FINE, Outcome
from tierlens.capture.shield import Shield, shielded

READING: Final = "reading what a stream brought"


class Observer(Protocol):
    """Sees what a stream brings and how it ends: used up, broken or left. Only ``seen`` may raise."""

    shield: Shield

    @property
    def seen(self) -> Callable[[Any], None]: ...

    def exhausted(self) -> None: ...

    def broken(self, error: BaseException) -> None: ...

    def left(self) -> None: ...


class MessageObserver:
    """Adds a message's events up, and ends its call."""

    def __init__(self, call: Call) -> None:
        self.shield = call.shield
        self._call = call
        self._reply = Reply(call.opened.trace.now)
        # Without a frame of its own: it is called once a chunk.
        self.seen = self._reply.add

    def exhausted(self) -> None:
        cut = Outcome(outcomes.ERROR, "the stream ended before its message did")
        self._call.ended(self._message(), FINE if self._reply.complete else cut)

    def broken(self, error: BaseException) -> None:
        self._call.raised(error, self._message())

    def left(self) -> None:
        if not self._call.done:
            self._call.ended(self._message(), FINE if self._reply.complete else Outcome(outcomes.ABANDONED))

    @shielded
    def _message(self) -> dict[str, Any]:
        self._call.opened.first_token_ns = self._reply.first_ns
        return self._reply.message()


def _items(inner: Iterator[Any], observer: Observer) -> Iterator[Any]:
    seen = observer.seen
    try:
        for item in inner:
            try:
                seen(item)
            except Exception as error:
                observer.shield.report(READING, error)
            yield item
    except GeneratorExit:  # dropped: whoever observes hears of it from the stream
        raise
    except BaseException as error:
        observer.broken(error)
        raise
    observer.exhausted()


class _AsyncItems:
    """As ``_items``, and no generator: the event loop keeps a list of those, and closes them in its own time."""

    __slots__ = ("_inner", "_observer")

    def __init__(self, inner: AsyncIterator[Any], observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    def __aiter__(self) -> _AsyncItems:
        return self

    async def __anext__(self) -> Any:
        try:
            item = await self._inner.__anext__()
        except StopAsyncIteration:
            self._observer.exhausted()
            raise
        except BaseException as error:
            self._observer.broken(error)
            raise
        try:
            self._observer.seen(item)
        except Exception as error:
            self._observer.shield.report(READING, error)
        return item


def is_stream(value: object) -> bool:
    """Whether ``value`` is one of the client's streams, of events or of lines."""
    return hasattr(type(value), "close") and (hasattr(type(value), "__next__") or hasattr(type(value), "__anext__"))


def observe(stream: Any, observer: Observer) -> None:
    """Have ``observer`` see what ``stream`` brings from now on, and its end, also where it is closed or dropped."""
    inner = stream._iterator
    stream._iterator = _AsyncItems(inner, observer) if hasattr(inner, "__anext__") else _items(inner, observer)
    stream.close = _closing(stream, observer)
    weakref.finalize(stream, observer.left).atexit = False


def _closing(stream: Any, observer: Observer) -> Callable[[], Any]:
    close, alive = type(stream).close, weakref.ref(stream)

    def closed() -> None:
        try:
            if (here := alive()) is not None:
                close(here)
        finally:
            observer.left()

    async def closed_async() -> None:
        try:
            if (here := alive()) is not None:
                await close(here)
        finally:
            observer.left()

    return closed_async if inspect.iscoroutinefunction(close) else closed
