"""What is known of a trace beyond its spans, on its way to MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.projection.attributes import attributes_of
from tierlens.spans import Artifact, Metric


@dataclass(frozen=True, slots=True)
class Finding:
    """A custom metric on its way to MLflow, where it becomes an assessment of its span.

    Attributes:
        about: what else is known of it: ``unit``, ``direction``.
    """

    span_id: str
    name: str
    value: Metric
    time_ns: int
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attached:
    """An artifact on its way to MLflow, with the bytes' location."""

    span_id: str
    artifact: Artifact
    path: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The metrics and files of a trace whose root has ended.

    ``root`` is the OTLP JSON, parsed, of the root span; where it has a ``parentSpanId``, another process
    holds the trace's real root, and this one only its own share.
    """

    experiment: str
    trace_id: str
    root: Mapping[str, object]
    findings: Sequence[Finding] = ()
    attached: Sequence[Attached] = ()

    @property
    def speakers(self) -> set[str]:
        """The ids of the spans that these are metrics and files of."""
        return {finding.span_id for finding in self.findings} | {file.span_id for file in self.attached}


def findings_of(line: Line) -> Iterator[Finding]:
    """The metrics set on a span, as of its end.

    Raises:
        ValueError, KeyError, TypeError: the payload is no span in OTLP JSON.
    """
    if not line.metrics:
        return
    span: dict[str, Any] = orjson.loads(line.payload)
    attributes = attributes_of(span)
    for name, value in line.metrics.items():
        yield Finding(line.span, name, value, int(span["endTimeUnixNano"]), about(name, attributes))


def about(name: str, attributes: Mapping[str, Any]) -> dict[str, str]:
    """Unit and direction of a metric, as the attributes of its span have them."""
    found = {"unit": attributes.get(keys.METRIC_UNIT + name), "direction": attributes.get(keys.METRIC_DIRECTION + name)}
    return {key: str(text) for key, text in found.items() if text}
