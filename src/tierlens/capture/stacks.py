"""What an exception says, with all that it came from: its words, and the trace back of its calls."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Final

MAX_STACK: Final = 16_384
_MOST_FRAMES: Final = 40
_MOST_ERRORS: Final = 200
_TOLD: Final = (str, dict, list, tuple)


def trace_back(error: BaseException, *, sources: bool) -> str:
    """The trace back of ``error``, as Python prints it, its end where it is long.

    Args:
        sources: with the lines of code that were run.
    """
    stack = _formatted(error) if sources else _without_sources(error)
    return stack if len(stack) <= MAX_STACK else f"…{stack[-MAX_STACK:]}"


def _formatted(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=_MOST_FRAMES))
    except Exception:  # format_exception calls the exception's own __str__
        return "".join(traceback.format_tb(error.__traceback__, limit=_MOST_FRAMES))


def _without_sources(error: BaseException) -> str:
    try:
        told = traceback.TracebackException.from_exception(error, limit=_MOST_FRAMES, lookup_lines=False)
        for one in _all_told(told):
            one.stack = _bare(one.stack)
            if hasattr(one, "text"):  # the line that a SyntaxError is about
                one.text = ""
        return "".join(told.format())
    except Exception:  # it calls the exception's own __str__
        stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=_MOST_FRAMES)
        return "".join(_bare(stack).format())


def place(error: BaseException, *, words: bool) -> str:
    """Where ``error`` was raised and what it is, without a line of code, for a log.

    Args:
        words: with what it says.
    """
    stack = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=_MOST_FRAMES, lookup_lines=False
    )
    said = f"{type(error).__name__}: {error}" if words else type(error).__name__
    return "\n" + "".join(_bare(stack).format()) + said


def _bare(stack: traceback.StackSummary) -> traceback.StackSummary:
    # Without an empty line it would look the line up when it is printed.
    return traceback.StackSummary.from_list(
        [traceback.FrameSummary(one.filename, one.lineno, one.name, lookup_line=False, line="") for one in stack]
    )


def _all_told(first: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting = [first]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other is not None]


def all_said(error: BaseException) -> Iterator[object]:
    """What ``error`` says, and its notes, its causes and, of a group, its members; each as it prints and as it was
    given."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _MOST_ERRORS:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        with contextlib.suppress(Exception):  # a hostile __str__ says nothing
            yield str(one)
        yield from (said for said in (*one.args, *getattr(one, "__notes__", ())) if isinstance(said, _TOLD))
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
