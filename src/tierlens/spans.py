"""The datum: one finished (or, in a start record, still open) piece of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

AttributeValue = str | bool | int | float
Status = Literal["UNSET", "OK", "ERROR"]
Metric = float | bool | str
NONE: Final[Mapping[str, Any]] = MappingProxyType({})
RunsMode = Literal["per_version", "per_invocation", "off"]


@dataclass(frozen=True, slots=True)
class Event:
    """A moment inside a span: an exception, the first token."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """Another span this one belongs with, by hex ids: the trace that paused, the caller's batch."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


class Span(NamedTuple):
    """One span, in OpenTelemetry's terms.

    A tuple, since two are made for every piece of work on the agent's thread, and a frozen dataclass of as
    many fields takes 1.3 µs longer to make.

    Attributes:
        trace_id: 32 lower-case hex digits. MLflow shows the trace as ``tr-<trace_id>``.
        span_id: 16 lower-case hex digits.
        parent_id: the parent's span_id, or None for a root.
        start_ns, end_ns: Unix time in nanoseconds; ``end_ns`` is 0 in a start record.
        attributes: flat; objects are JSON strings, as MLflow wants them.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue]
    status: Status = "UNSET"
    message: str = ""
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that belongs to a span, stored in the journal's ``blobs/`` folder under its SHA-256."""

    name: str
    sha256: str
    size: int
    content_type: str


class Call(NamedTuple):
    """A finished model call: what it takes to say what it cost.

    Attributes:
        usage: as MLflow has it, with the names of `tierlens.usages` beside; empty where nothing was counted.
        share: the part of the published price that is paid.
        tier: of service, where it has a price of its own.
    """

    provider: str
    model: str
    temperature: float | None
    max_tokens: int | None
    start_ns: int
    usage: Mapping[str, int] = NONE
    share: float = 1.0
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What an agent's, or a root's, span has to say to MLflow's runs.

    Attributes:
        version: of the configuration it ran with.
        runs: which runs there are of it.
        experiment: of its runs; "" means its trace's.
        calls: the model calls made in it, those of agents inside it left out, each a tuple in the order of `Call`.
        inner: of a root whose runs are by invocation, the calls of the agents inside it.
    """

    version: str
    runs: RunsMode = "per_version"
    experiment: str = ""
    calls: tuple[tuple[Any, ...], ...] = ()
    inner: tuple[tuple[Any, ...], ...] = ()


class Routing(NamedTuple):
    """What the far side of the disk must know of a span without parsing it.

    Attributes:
        experiment: MLflow experiment name (a name, never an id or a server).
        brand: the brand it was recorded for, "" where none is.
        root: the span has no parent in this process: its trace is complete here once it has ended.
        metrics: custom metrics set on this span; they become assessments.
        artifacts: files set on this span.
        invocation: of an agent or a root whose runs are wanted.
    """

    experiment: str
    brand: str = ""
    root: bool = False
    metrics: Mapping[str, Metric] = NONE
    artifacts: tuple[Artifact, ...] = ()
    invocation: Invocation | None = None


def mlflow_id(trace_id: str) -> str:
    """MLflow's id of an OpenTelemetry trace."""
    return f"tr-{trace_id}"


def trace_id_from(mlflow_id: str) -> str:
    """The id (32 hex digits) of the OpenTelemetry trace that MLflow knows by its own."""
    return mlflow_id.removeprefix("tr-")
