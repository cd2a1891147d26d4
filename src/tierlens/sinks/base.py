"""The swap point between the shipper and a destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tierlens.span import Artifact, Metric


@dataclass(frozen=True, slots=True)
class Batch:
    """Spans of whole traces for one experiment, each still the JSON it was journalled as.

    Attributes:
        experiment: MLflow experiment name.
        resource: OTLP JSON of the resource they share.
        spans: OTLP JSON of one span each.
    """

    experiment: str
    resource: bytes
    spans: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Finding:
    """A custom metric on its way to MLflow: an assessment with an id of its own, so that a re-send is one row."""

    span_id: str
    name: str
    value: Metric
    time_ns: int


@dataclass(frozen=True, slots=True)
class Attached:
    """An artifact on its way to MLflow, with the bytes' location."""

    span_id: str
    artifact: Artifact
    path: str


@dataclass(frozen=True, slots=True)
class Finish:
    """What is known of a trace once its root has been stored: sent after its spans, never before.

    ``root`` is the root span's OTLP JSON, parsed.
    """

    experiment: str
    trace_id: str
    root: Mapping[str, object]
    findings: Sequence[Finding] = ()
    attached: Sequence[Attached] = field(default=())


class Sink(Protocol):
    """Takes a batch whole or raises a DeliveryError; never keeps half of one."""

    def send(self, batch: Batch) -> None: ...

    def finish(self, finish: Finish) -> None: ...

    def close(self) -> None: ...
