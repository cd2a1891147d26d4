"""When LangChain may know that our handler runs inline.

An inline handler keeps its order and needs no thread. But ``AsyncCallbackManager.on_llm_start`` (completion models,
langchain-core 1.7.2) tells no handler that is not inline of a start as soon as one is. So to that one function
ours says that it is not, unless others have said they are; it is called inline all the same, by the function that
one calls.
"""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Final

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler


def _code_of(function: object) -> tuple[CodeType, ...]:
    """The code of a function and of the comprehensions in it, which are functions of their own before Python 3.12."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType)) if code else ()
    return (code, *inner) if code else ()


_SKIPPING: Final = frozenset(map(id, _code_of(AsyncCallbackManager.on_llm_start)))


def shuts_others_out(ours: type[BaseCallbackHandler]) -> bool:
    """Whether the caller's caller would leave other handlers out if a handler of type ``ours`` said it is inline."""
    frame = sys._getframe(2)
    return id(frame.f_code) in _SKIPPING and not _has_inline(frame, ours)


def _has_inline(frame: FrameType, ours: type[BaseCallbackHandler]) -> bool:
    manager = frame.f_locals.get("self") or (frame.f_back.f_locals.get("self") if frame.f_back else None)
    handlers = getattr(manager, "handlers", ())
    return any(handler.run_inline for handler in handlers if not isinstance(handler, ours))
