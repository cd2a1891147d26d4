"""Which span the running code belongs to.

Two things can say so: a decorator around the code (a context variable set and reset around one call), and
LangChain's current run config, which names the run. The inner one of the two is right.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config

from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open

T = TypeVar("T")
enclosing: contextvars.ContextVar[Open | None] = contextvars.ContextVar("tierlens_span", default=None)
_context: contextvars.ContextVar[Context | None] = contextvars.ContextVar("tierlens_context", default=None)


def current(recorder: Recorder) -> Open | None:
    """The innermost open span that encloses the running code, or None."""
    own = decorated(recorder)
    key = running()
    run = recorder.open.get(key) if key is not None else None
    if own is None or run is None:
        return own or run
    return run if run.within(own) else own if own.within(run) else run


def running() -> int | None:
    """Key of the run that LangChain says the calling code belongs to."""
    config = var_child_runnable_config.get()
    manager = config.get("callbacks") if config else None
    run_id = getattr(manager, "parent_run_id", None)
    return run_id.int if isinstance(run_id, UUID) else None


def decorated(recorder: Recorder) -> Open | None:
    """The span of the innermost decorated call around the running code, while it is open."""
    if (own := enclosing.get()) is None:
        return None
    return own if own.key in recorder.open else None


@contextmanager
def inside(opened: Open | None) -> Iterator[None]:
    """Have code in this block, and what it calls, belong to ``opened``."""
    token = enclosing.set(opened)
    try:
        yield
    finally:
        put_back(enclosing, token)


def put_back(variable: contextvars.ContextVar[T], token: contextvars.Token[T]) -> None:
    """Undo a ``set``, unless its context was left: a coroutine may be closed from another one than it ran in, as may a
    block of a web framework's."""
    try:  # noqa: SIM105  # cheaper, and every decorated call comes here
        variable.reset(token)
    except ValueError:
        pass


def with_brand(context: Context, brand: str | None) -> Context:
    return replace(context, brand=brand)


def merged(context: Context, ambient: Context) -> Context:
    """``context``, with what it leaves open filled in from ``ambient``; where that alone is of a trace begun elsewhere,
    the other way round."""
    first, then = (ambient, context) if ambient.remote and not context.remote else (context, ambient)
    return Context(
        brand=first.brand or then.brand,
        kpi=first.kpi or then.kpi,
        user=first.user or then.user,
        session=first.session or then.session,
        tags={**then.tags, **first.tags},
        remote=first.remote or then.remote,
        sampled=first.sampled and then.sampled,
        private=first.private | then.private,
        origin=first.origin or then.origin,
    )


def ambient_context() -> Context | None:
    """What the enclosing ``using`` blocks say of calls made here."""
    return _context.get()


@contextmanager
def using(context: Context) -> Iterator[None]:
    """Have traces that start in this block take ``context`` where their caller says nothing else."""
    ambient = _context.get()
    token = _context.set(context if ambient is None else merged(context, ambient))
    try:
        yield
    finally:
        put_back(_context, token)
