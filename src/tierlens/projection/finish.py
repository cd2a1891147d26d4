"""What is known of a trace beyond its spans, on its way to MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
