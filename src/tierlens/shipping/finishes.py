"""Metrics and files of traces: gathered from their spans, given out when the trace's root is."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from tierlens import presence
from tierlens.journal.blobs import blob_path
from tierlens.journal.codec import Line
from tierlens.projection.finish import findings_of
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.entry import Destination, Entry, Group
from tierlens.sinks.base import Attached, Finding, Finish

_REMEMBERED: Final = 10_000
_STUB: Final = ("traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano", "status")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What a stored span has to say of its trace, while the trace's root has not been seen."""

    entry: Entry
    finish: Finish
    until: float


class Finishes:
    """Holds back the metrics of spans that were stored before their trace's root, for ``patience_s`` at
    most."""

    def __init__(self, directory: Path, alarms: Alarms, patience_s: float) -> None:
        self._directory, self._alarms, self._patience_s = directory, alarms, patience_s
        self._waiting: dict[tuple[str, Destination], dict[str, _Waiting]] = {}
        self._rooted: OrderedDict[str, None] = OrderedDict()

    def of(self, group: Group) -> Finish | None:
        """The finish to send with a group that holds its trace's root, if there is anything to say."""
        waiting = self._waiting.get((group.trace, group.destination), {}).values()
        speakers = [entry for entry in group.entries if entry.has_findings]
        if not group.rooted or not (waiting or speakers):
            return None
        root = next(entry for entry in group.entries if entry.line.root)
        spoken = [(w.finish.findings, w.finish.attached) for w in waiting]
        spoken += [self._read(entry.line) for entry in speakers]
        return Finish(
            group.destination.experiment,
            group.trace,
            orjson.loads(root.line.payload),
            tuple(finding for findings, _ in spoken for finding in findings),
            tuple(attached for _, files in spoken for attached in files),
        )

    def hold(self, entry: Entry, destination: Destination, now: float) -> bool:
        """The entry is stored and its metrics are not: wait for the root, unless it has been stored before.

        False if there turns out to be nothing to wait with.
        """
        finish = self.late(entry.line)
        if finish is None:
            return False
        until = now if entry.line.trace in self._rooted else now + self._patience_s
        self._waiting.setdefault((entry.line.trace, destination), {})[entry.line.span] = _Waiting(entry, finish, until)
        return True

    def expedite(self, writer: str, now: float) -> None:
        """Do not wait any longer for roots that a writer can no longer send."""
        for spans in self._waiting.values():
            for span, waiting in spans.items():
                if waiting.entry.writer == writer and waiting.until < math.inf:
                    spans[span] = replace(waiting, until=now)

    def root_stored(self, trace: str) -> None:
        """Metrics that come later for this trace need not wait."""
        self._rooted[trace] = None
        self._rooted.move_to_end(trace)
        if len(self._rooted) > _REMEMBERED:
            self._rooted.popitem(last=False)

    def overdue(self, now: float) -> Iterator[tuple[Destination, Finish]]:
        """What has waited long enough, once, span by span, each with its own span where the root should
        be."""
        for (_, destination), spans in self._waiting.items():
            for span, waiting in spans.items():
                if waiting.until <= now:
                    spans[span] = replace(waiting, until=math.inf)
                    yield destination, waiting.finish

    def late(self, line: Line) -> Finish | None:
        """What one stored span has to say on its own, if anything that can still be found."""
        findings, attached = self._read(line)
        if not findings and not attached:
            return None
        return Finish(line.experiment, line.trace, _stub(line.payload), findings, attached)

    def done(self, finish: Finish, destination: Destination) -> list[Entry]:
        """The entries that wait no more now that ``finish`` was taken, or refused for good."""
        key = (finish.trace_id, destination)
        spans = self._waiting.get(key, {})
        released = [spans.pop(span).entry for span in finish.speakers if span in spans]
        if not spans:
            self._waiting.pop(key, None)
        return released

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def _read(self, line: Line) -> tuple[tuple[Finding, ...], tuple[Attached, ...]]:
        findings = tuple(findings_of(line))
        attached = []
        for artifact in line.artifacts:
            path = blob_path(self._directory, artifact.sha256)
            if presence.is_file(path):
                attached.append(Attached(line.span, artifact, str(path)))
            else:
                self._alarms.warn("blob", f"artifact {artifact.name} of span {line.span} is missing: {path}")
        return findings, tuple(attached)


def _stub(payload: bytes) -> dict[str, object]:
    span: dict[str, Any] = orjson.loads(payload)
    # A parent makes it a share of a trace whose real root somebody else has, which is how it is to be
    # treated.
    return {"parentSpanId": span.get("parentSpanId") or span["spanId"]} | {
        key: span[key] for key in _STUB if key in span
    }
