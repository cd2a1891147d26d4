"""Spans around functions: ``@agent @span @tool @retriever @reranker``, on any kind of function.

Without a Lens a decorated function runs as it is, at the cost of one comparison.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload

from tierlens.capture import active
from tierlens.capture.calls import Call
from tierlens.capture.current import inside

P = ParamSpec("P")
R = TypeVar("R")
Kind = Literal["AGENT", "CHAIN", "TOOL", "RETRIEVER", "RERANKER"]
Start = Callable[[tuple[Any, ...], Mapping[str, Any]], Call | None]
"""Opens the span of a call with these arguments; None where nothing records."""


class Decorator:
    """One kind of span, usable bare (``@tool``), with a name (``@tool("search")``) or called (``@tool()``)."""

    def __init__(self, kind: Kind, doc: str) -> None:
        self._kind: Kind = kind
        self.__doc__ = doc

    @overload
    def __call__(self, target: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def __call__(self, target: str | None = None, /) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def __call__(self, target: Any = None, /) -> Any:
        if target is None or isinstance(target, str):
            return lambda function: _wrapped(function, self._kind, target or _name(function))
        if not callable(target) and not isinstance(target, classmethod):
            raise TypeError(f"@{self._kind.lower()} takes a function or a name, not {type(target).__name__}")
        return _wrapped(target, self._kind, _name(target))


agent = Decorator("AGENT", 'An agent outside a graph, or inside a node: ``@agent("causal_impact")``.')
span = Decorator("CHAIN", "Any piece of work worth seeing in the trace.")
tool = Decorator("TOOL", "A tool: its arguments and its result.")
retriever = Decorator("RETRIEVER", "A function from a query to documents.")
reranker = Decorator("RERANKER", "A function that re-orders documents; the span tells each one's move in rank.")


def _name(target: Any) -> str:
    named = target.func if isinstance(target, functools.partial) else target
    return getattr(named, "__name__", type(named).__name__)


def _wrapped(function: Callable[..., Any], kind: Kind, name: str) -> Callable[..., Any]:
    if isinstance(function, staticmethod | classmethod):
        return cast("Callable[..., Any]", type(function)(_wrapped(function.__func__, kind, name)))
    signature = _signature(function)

    def start(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        return Call.start(active.recorder(), kind, name, signature, args, kwargs)

    runs = function if inspect.isroutine(function) or isinstance(function, functools.partial) else _call_of(function)
    if inspect.isasyncgenfunction(runs):
        wrapper = _async_generator(function, start)
    elif inspect.isgeneratorfunction(runs):
        wrapper = _generator(function, start)
    elif inspect.iscoroutinefunction(runs):
        wrapper = _coroutine(function, start)
    else:
        wrapper = _plain(function, start)
    return functools.wraps(function)(wrapper)


def _call_of(instance: Callable[..., Any]) -> Callable[..., Any]:
    """What runs when an object that is no function is called."""
    return instance if isinstance(instance, type) else type(instance).__call__


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without one
        return None


def _plain(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (call := start(args, kwargs)) is None:
            return function(*args, **kwargs)
        with call:
            result = function(*args, **kwargs)
        call.returned(result)
        return result

    return wrapper


def _coroutine(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (call := start(args, kwargs)) is None:
            return await function(*args, **kwargs)
        with call:
            result = await function(*args, **kwargs)
        call.returned(result)
        return result

    return wrapper


def _generator(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = start(args, kwargs)
        inner = function(*args, **kwargs)
        return (yield from inner if call is None else _driven(inner, call))

    return wrapper


def _driven(inner: Generator[Any, Any, Any], call: Call) -> Generator[Any, Any, Any]:
    """Run ``inner`` step by step: its code belongs to the span, the code of whoever consumes it does not."""
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            with inside(call.opened):
                item = inner.send(sent) if thrown is None else inner.throw(thrown)
        except StopIteration as stop:
            call.exhausted(stop.value)
            return stop.value
        except BaseException as error:
            call.raised(error)
            raise
        call.yielded(item)
        sent = thrown = None
        try:
            sent = yield item
        except BaseException as error:  # handed on: the inner generator decides what becomes of it
            thrown = error


def _async_generator(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = start(args, kwargs)
        inner = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                with inside(call.opened if call else None):
                    item = await (inner.asend(sent) if thrown is None else inner.athrow(thrown))
            except StopAsyncIteration:
                if call is not None:
                    call.exhausted(None)
                return
            except BaseException as error:
                if call is not None:
                    call.raised(error)
                raise
            if call is not None:
                call.yielded(item)
            sent = thrown = None
            try:
                sent = yield item
            except BaseException as error:  # handed on: the inner generator decides what becomes of it
                thrown = error

    return wrapper
