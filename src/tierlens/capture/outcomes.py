"""How a piece of work ended, in words of its own: not everything that is raised is an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import orjson
from langgraph.constants import END
from langgraph.errors import GraphBubbleUp, GraphDrained, GraphInterrupt, ParentCommand

from tierlens.capture import payload, stacks
from tierlens.spans import Event, Status

OK: Final = "ok"
ERROR: Final = "error"
INTERRUPTED: Final = "interrupted"
RESUMED: Final = "resumed"
ABANDONED: Final = "abandoned"
CANCELLED: Final = "cancelled"
HANDED_OFF: Final = "handed_off"
RETRIED: Final = "retried"
LEFT: Final = frozenset({ABANDONED, CANCELLED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome with what is worth knowing of it: an interrupt's payload, a handoff's goal, an error's words."""

    word: str
    detail: str = ""

    @property
    def status(self) -> Status:
        return "ERROR" if self.word in (ERROR, RETRIED) else "OK"


FINE: Final = Outcome(OK)


def of_exception(error: BaseException) -> Outcome:
    """The outcome of work that ended by raising ``error``."""
    if isinstance(error, GraphInterrupt):
        return Outcome(INTERRUPTED, interrupt_payload(error.args[0] if error.args else ()))
    if isinstance(error, ParentCommand):
        return Outcome(HANDED_OFF, goal(error.args[0] if error.args else None))
    if isinstance(error, GraphDrained):
        return Outcome(INTERRUPTED, payload.text(str(error.reason), 4_096))
    if isinstance(error, GraphBubbleUp):
        return Outcome(INTERRUPTED)
    if isinstance(error, GeneratorExit):
        return Outcome(ABANDONED)
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return Outcome(CANCELLED)
    words = _words(error)
    return Outcome(ERROR, f"{type(error).__name__}: {words}" if words else type(error).__name__)


def of_output(output: object) -> Outcome:
    """The outcome of work that returned: a ``Command`` that names a goal hands off to it, unless that is the end."""
    if type(output) is dict:
        return FINE
    single = output[0] if type(output) is list and len(output) == 1 else output
    if type(single).__name__ == "Command" and (destination := goal(single)) not in ("", END):
        return Outcome(HANDED_OFF, destination)
    return FINE


def goal(command: object) -> str:
    """Where a ``Command`` goes, "" where it goes nowhere."""
    goto = getattr(command, "goto", None)
    goals = goto if isinstance(goto, list | tuple) else [goto]
    return ", ".join(str(getattr(one, "node", one)) for one in goals if one)


def interrupt_payload(interrupts: object) -> str:
    """The payloads of LangGraph ``Interrupt``s as JSON: one as it is, several as a list."""
    return payload.text(payload.dumps(_values(interrupts)), 16_384)


def questions(error: BaseException) -> tuple[object, ...]:
    """LangGraph's ``Interrupt``s that it carries."""
    first = error.args[0] if error.args else ()
    return tuple(first) if isinstance(first, list | tuple) else ()


def asked(error: BaseException) -> object:
    """What an interrupt asks a person: its payload, or a list of several; cut where it is long."""
    encoded = payload.encode(_values(error.args[0] if error.args else ()))
    return orjson.Fragment(payload.capped(encoded, 16_384))


def _values(interrupts: object) -> object:
    if not isinstance(interrupts, list | tuple):
        return interrupts
    # What a task asks, the entrypoint that waits for it raises again; a ``NodeInterrupt`` has no id of its own.
    values = [getattr(one, "value", one) for one in {id(one): one for one in interrupts}.values()]
    return values[0] if len(values) == 1 else values


def carried(error: BaseException) -> object:
    """What an exception carries with it to those who see it next: words, a question to a person, a state update."""
    first = error.args[0] if error.args else ()
    if isinstance(error, GraphInterrupt):
        return [getattr(one, "value", one) for one in first] if isinstance(first, list | tuple) else first
    if isinstance(error, ParentCommand):
        return first
    return list(stacks.all_said(error))


def exception_event(error: BaseException, time_ns: int, *, private: bool, sources: bool) -> Event:
    """OpenTelemetry's ``exception`` event; where text is private, its type alone.

    Args:
        sources: with the lines of code of its trace back.
    """
    attributes = {"exception.type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")}
    if not private:
        attributes["exception.message"] = _words(error)
        attributes["exception.stacktrace"] = stacks.trace_back(error, sources=sources)
    return Event("exception", time_ns, attributes)


def _words(error: BaseException) -> str:
    try:
        return payload.text(str(error), 4_096)
    except Exception:  # a hostile __str__
        return f"<{type(error).__name__} whose str raised>"
