"""Document compressors of LangChain, recorded as rerankers: the order before and after, scores, moves in rank."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from tierlens.capture import active, current
from tierlens.capture.calls import Call, arguments
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open

Compressor = TypeVar("Compressor")


def _compress(documents: Any, query: Any, callbacks: Any = None) -> None:
    """What LangChain's interface takes."""


_INTERFACE = inspect.signature(_compress)
_ASKED = inspect.Signature(list(_INTERFACE.parameters.values())[:2])


def is_compressor(value: object) -> bool:
    """Whether ``value`` compresses documents as LangChain's ``BaseDocumentCompressor`` does."""
    return not isinstance(value, type) and callable(getattr(value, "compress_documents", None))


def wrap_compressor(compressor: Compressor) -> Compressor:
    """A copy of ``compressor``, of the same type, whose compressions are recorded.

    Raises:
        TypeError: it has no place to put the recording methods, having ``__slots__`` and no ``__dict__``.
    """
    own: Any = copy.copy(compressor)
    name = type(compressor).__name__
    if not hasattr(own, "__dict__"):
        raise TypeError(f"{name} cannot be wrapped: its instances have no __dict__")
    recorded: dict[str, Callable[..., Any]] = {"compress_documents": _recorded(name, own.compress_documents)}
    if hasattr(own, "acompress_documents"):
        recorded["acompress_documents"] = _recorded_async(name, own.acompress_documents)
    # Past pydantic, which lets nothing but its fields be set.
    vars(own).update(recorded)
    return own  # type: ignore[no-any-return]  # copy.copy keeps the type


def _recorded(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def compress_documents(*args: Any, **kwargs: Any) -> Any:
        with _reranking(name, args, kwargs) as call:
            result = plain(*args, **kwargs)
        if call is not None:
            call.returned(result)
        return result

    return compress_documents


def _recorded_async(name: str, plain: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(plain)
    async def acompress_documents(*args: Any, **kwargs: Any) -> Any:
        with _reranking(name, args, kwargs) as call:
            result = await plain(*args, **kwargs)
        if call is not None:
            call.returned(result)
        return result

    return acompress_documents


@contextmanager
def _reranking(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Call | None]:
    recorder = active.recorder()
    if recorder is None or _is_compressing(recorder, name):
        yield None
        return
    given = arguments(_INTERFACE, args, kwargs)
    callbacks = given.pop("callbacks", None)
    with current.inside(_caller(recorder, callbacks)):
        call = Call.start(recorder, "RERANKER", name, _ASKED, (), given)
    if call is None:
        yield None
        return
    with call:
        yield call


def _is_compressing(recorder: Recorder, name: str) -> bool:
    """The asynchronous method of LangChain's base class calls the synchronous one: that is still one compression."""
    around = current.decorated(recorder)
    return around is not None and around.kind == "RERANKER" and around.name == name


def _caller(recorder: Recorder, callbacks: Any) -> Open | None:
    """The retriever that hands its callbacks over, else whatever span the running code belongs to."""
    run_id = getattr(callbacks, "parent_run_id", None)
    retriever = recorder.open.get(run_id.int) if run_id is not None else None
    return retriever or current.decorated(recorder)
