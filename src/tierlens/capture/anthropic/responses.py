"""What a call brought, whatever it is: a message, a stream, or a response still to be read."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from tierlens.capture import outcomes
from tierlens.capture.anthropic import bodies
from tierlens.capture.anthropic.call import Call
from tierlens.capture.anthropic.streams import MessageObserver, is_stream, observe
from tierlens.capture.outcomes import FINE, Outcome
from tierlens.capture.shield import Shield, shielded

_LOOKS: Final = "_tierlens_looks"


def settle(call: Call, result: Any) -> None:
    """End ``call`` with its result now, or have it end when the result has been read. Never raises."""
    try:
        if is_stream(result):
            observe(result, MessageObserver(call))
        elif hasattr(result, "http_response"):
            _settle_raw(call, result)
        else:
            # Asked for by ``client.post``, it may be the HTTP response itself.
            call.ended(_body(result) if hasattr(result, "is_stream_consumed") else result)
    except Exception as error:
        call.ended(None)
        call.shield.report("reading what a client brought", error)


def _settle_raw(call: Call, response: Any) -> None:
    """``with_raw_response`` has read its body already; ``with_streaming_response`` leaves that to the caller."""
    body = _body(response.http_response)
    if body is not None:
        call.ended(body)
        return
    unread = Unread(call, response.http_response)
    _watch(response, parse=unread.parsed, close=unread.closed)
    weakref.finalize(response, unread.dropped).atexit = False


def when_parsed(result: Any, look: Callable[[Any], None], shield: Shield) -> None:
    """Have ``look`` see ``result``, or, of a response that is still to be parsed, what its first parsing brings."""
    if not hasattr(result, "parse"):
        look(result)
        return
    seen = False

    def once(parsed: Any) -> None:
        nonlocal seen
        try:
            if not seen:
                seen = True
                look(parsed)
        except Exception as error:
            shield.report("reading what a response brought", error)

    _watch(result, parse=once)


class Unread:
    """A response whose body has not been read when the call returns."""

    def __init__(self, call: Call, http_response: Any) -> None:
        self.shield = call.shield
        self._call = call
        self._http_response = http_response
        self._stream: MessageObserver | None = None
        self._kept = bodies.keep(http_response)

    @shielded
    def parsed(self, result: Any) -> None:
        self._kept.wanted = False
        if not is_stream(result):
            self._call.ended(result)
        elif self._stream is None:
            self._stream = MessageObserver(self._call)
            observe(result, self._stream)

    @shielded
    def closed(self, result: None = None) -> None:
        if self._stream is not None:
            self._stream.left()
            return
        message, whole = _body(self._http_response), True
        if message is None and self._kept.wanted:
            message, whole = self._kept.message(self._call.opened.trace.now)
        read = whole and self._http_response.is_stream_consumed
        self._call.ended(message, FINE if read else Outcome(outcomes.ABANDONED))

    def dropped(self) -> None:
        """The response is gone; a stream that was parsed from it may be read for long still, and tells its own end."""
        if self._stream is None:
            self.closed()


def _body(http_response: Any) -> Mapping[str, Any] | None:
    """The JSON object in a response that has been read whole, else None."""
    try:
        body = orjson.loads(http_response.content)
    except Exception:  # not read yet (httpx and httpx2 each have an error of their own), or no JSON
        return None
    return body if isinstance(body, dict) else None


def _watch(response: Any, **looks: Callable[[Any], None]) -> None:
    """Have each of ``looks`` see what the response's method of that name returns.

    By a class of the response's own, since a method put on the response would refer to it: one that is dropped with a
    stream half read has to close its connection at once, not at the next garbage collection, which may run while
    the pool of connections is locked.
    """
    response.__dict__.setdefault(_LOOKS, {}).update(looks)
    response.__class__ = _watched(response.__class__)


@functools.cache
def _watched(kind: type) -> type:
    if hasattr(kind, _LOOKS):
        return kind
    methods = {name: _after(name, method) for name in ("parse", "close") if (method := getattr(kind, name, None))}
    return type(kind.__name__, (kind,), {**methods, _LOOKS: {}, "__module__": kind.__module__})


def _after(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """``method``, with whoever looks at what it returns."""

    def look(response: Any, result: Any) -> Any:
        if seen := getattr(response, _LOOKS).get(name):
            seen(result)
        return result

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        return look(self, method(self, *args, **kwargs))

    async def called_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        return look(self, await method(self, *args, **kwargs))

    return functools.wraps(method)(called_async if inspect.iscoroutinefunction(method) else called)
