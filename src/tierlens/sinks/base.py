"""The swap point between the shipper and a destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tierlens.projection.finish import Attached, Finding, Finish
from tierlens.projection.prices import PriceBook
from tierlens.projection.runs import Record

__all__ = ["Attached", "Batch", "Finding", "Finish", "Record", "RunSink", "Sink"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Spans of whole traces for one experiment, each still the JSON it was journalled as.

    Attributes:
        experiment: MLflow experiment name.
        resource: OTLP JSON of the resource they share.
        spans: OTLP JSON of one span each.
        tags: of the traces whose root is among ``spans``, by trace id: what delivery itself has to say of them.
        finishes: of the traces whose root is among ``spans``. A sink may send what it makes of them before
            the spans, which costs MLflow half; a finish given here is not given to ``Sink.finish`` again.
    """

    experiment: str
    resource: bytes
    spans: Sequence[bytes]
    finishes: Sequence[Finish] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Sink(Protocol):
    """Takes a batch whole or raises a DeliveryError; never keeps half of one.

    One to a process, called by one thread at a time.
    """

    def send(self, batch: Batch) -> None: ...

    def finish(self, finish: Finish) -> None:
        """Metrics and files of a trace whose spans were sent by earlier calls."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class RunSink(Protocol):
    """A sink that has runs: takes all records of one experiment, or raises a DeliveryError and may have kept some."""

    @property
    def prices(self) -> PriceBook:
        """By which it prices spans; a run's calls cost the same only by the same."""
        ...

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None: ...
