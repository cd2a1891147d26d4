"""Sinks that can be asked what they hold, and the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tierlens.errors import TierlensError
from tierlens.sinks.base import Sink
from tierlens.sinks.fanout import FanOut


@dataclass(frozen=True, slots=True)
class Request:
    """One request's traces: those whose root came with it, and is tagged with its name.

    Attributes:
        delivery: the name.
        start_ns, end_ns: between which the roots began.
    """

    experiment: str
    delivery: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A trace that lacks spans.

    Attributes:
        trace_id: MLflow's id.
        began: RFC 3339.
        started, stored: spans there should be, and spans there were when it was tagged; None where nobody says.
    """

    trace_id: str
    name: str
    began: str
    started: int | None
    stored: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a trace says of itself.

    Attributes:
        rooted: its root is there.
        started: spans there should be; None where nobody says.
        complete: as it is tagged; None where it is not.
    """

    rooted: bool
    started: int | None
    complete: bool | None


@runtime_checkable
class Witness(Protocol):
    """Says what a sink holds, or raises a DeliveryError."""

    def count(self, request: Request) -> int:
        """How many spans the request's traces have, whenever and by whomever they were sent."""
        ...

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        """The ids of each trace's spans; a trace that is not there has none."""
        ...

    def told(self, trace_id: str) -> Told | None:
        """What a trace says of itself; None where it is not there."""
        ...

    def incomplete(self, limit: int) -> Sequence[Incomplete]:
        """Traces that are tagged as lacking spans, the newest first."""
        ...

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        """Put tags on a trace that is there."""
        ...


def witness_of(sink: Sink) -> Witness | None:
    """Whoever can say what the sink holds, if anybody can: of two destinations, the first."""
    asked = sink.first if isinstance(sink, FanOut) else sink
    return asked if isinstance(asked, Witness) else None


def required_witness(sink: Sink) -> Witness:
    """The same of a sink that is to be asked.

    Raises:
        TierlensError: nobody can say what it holds.
    """
    if (witness := witness_of(sink)) is None:
        raise TierlensError("MLFLOW_TRACKING_URI is an OTLP endpoint, which cannot be asked what it holds")
    return witness


def incomplete_traces(sink: Sink, limit: int) -> Sequence[Incomplete]:
    """The traces in the sink that lack spans; closes the sink.

    Raises:
        TierlensError: it cannot be asked, or does not answer.
    """
    try:
        return required_witness(sink).incomplete(limit)
    finally:
        sink.close()
