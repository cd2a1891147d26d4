"""The current span, carried into threads that code in a node starts without LangChain's context.

``ThreadPoolExecutor.submit`` and ``Thread.start`` are wrapped while a Lens runs. Where no span is open they do
what they did before, and what is carried is tierlens's own context variables, nothing of LangChain's.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from types import BuiltinMethodType
from typing import Any, Final, NamedTuple

from tierlens.capture import active, current
from tierlens.capture.trace import Open

Method = Callable[..., Any]

# Their threads live on and serve whoever submits next, so they must not keep the span they were started in.
_POOLS: Final = frozenset({"concurrent.futures.thread", "multiprocessing.pool"})


class _Wrap(NamedTuple):
    """A method that was wrapped: ours, and what stood there before."""

    ours: Method
    before: Method


_wraps: Final[dict[tuple[type, str], _Wrap]] = {}


def install() -> None:
    """Carry spans from here on. Installed twice is installed once."""
    for owner, name, wrapped in ((ThreadPoolExecutor, "submit", _submit), (threading.Thread, "start", _start)):
        before = getattr(owner, name)
        wrap = _wraps.get((owner, name))
        if wrap is None or wrap.ours not in _layers(before):
            _wraps[owner, name] = _Wrap(wrapped(before), before)
            setattr(owner, name, _wraps[owner, name].ours)


def uninstall() -> None:
    """Put back what stood there. Where others have wrapped ours since, it stays below theirs."""
    for (owner, name), wrap in list(_wraps.items()):
        if getattr(owner, name) is wrap.ours:
            setattr(owner, name, wrap.before)
            del _wraps[owner, name]


def _layers(method: Method | None) -> Iterator[Method]:
    while method is not None:
        yield method
        method = getattr(method, "__wrapped__", None)


def _submit(before: Method) -> Method:
    @functools.wraps(before)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if (span := _current()) is not None and not _has_context(fn) and _shares_memory(self):
            return before(self, _Carried(span, fn), *args, **kwargs)
        return before(self, fn, *args, **kwargs)

    return submit


def _start(before: Method) -> Method:
    @functools.wraps(before)
    def start(self: threading.Thread) -> Any:
        span = _current()
        if span is None or not _carry_into(self, span):
            return before(self)
        try:
            return before(self)
        except BaseException:
            vars(self).pop("run", None)
            raise

    return start


class _Carried:
    """A function that runs inside a span of the thread that handed it on."""

    __slots__ = ("_function", "_span")

    def __init__(self, span: Open, function: Callable[..., Any]) -> None:
        self._span = span
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The context, too: where the trace is over before this runs, a new one that starts here is for the
        # same brand.
        with current.using(self._span.trace.context), current.inside(self._span):
            return self._function(*args, **kwargs)


def _carry_into(thread: threading.Thread, span: Open) -> bool:
    """Have ``thread.run`` run inside ``span``; False for a pool's thread, and where ``run`` is not to be touched."""
    try:
        if "run" in vars(thread) or getattr(vars(thread).get("_target"), "__module__", None) in _POOLS:
            return False
        run = thread.run

        def carried() -> None:
            vars(thread).pop("run", None)
            _Carried(span, run)()

        thread.run = carried  # type: ignore[method-assign]  # until the thread runs
    except Exception:  # a subclass that guards its attributes goes without
        return False
    return True


def _current() -> Open | None:
    recorder = active.recorder()
    if recorder is None or not recorder.open:
        return None
    return current.current(recorder)


def _has_context(function: object) -> bool:
    """Whether it runs in a copied context, as LangChain's and asyncio's own hand-overs do."""
    # By type alone: asking a callable for attributes may run code of its own.
    called = function.func if type(function) is functools.partial else function
    return type(called) is BuiltinMethodType and type(called.__self__) is Context


def _shares_memory(pool: ThreadPoolExecutor) -> bool:
    """False for a pool of interpreters, which is a ThreadPoolExecutor, too, and pickles what it is given."""
    interpreters = sys.modules.get("concurrent.futures.interpreter")
    return interpreters is None or not isinstance(pool, interpreters.InterpreterPoolExecutor)
