"""What a sink took and was not yet seen to hold, by trace and by request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tierlens.journal.codec import Line
from tierlens.journal.cursor import Place
from tierlens.projection.tags import is_real_root, spans_started, started_ns
from tierlens.shipping.entry import Entry, Group
from tierlens.sinks.witness import Request

_REMEMBERED: Final = 5_000


class Awaited(NamedTuple):
    """A span that was taken, and where to find it again.

    Attributes:
        line: only where the journal does not hold it as it was sent.
    """

    writer: str
    place: Place
    line: Line | None


@dataclass(slots=True, eq=False)
class Trace:
    """What of a trace was taken.

    Attributes:
        known: ids of all its spans that were taken.
        awaited: those not seen yet, by id.
        delivery: the request its root came with; "" while the root has not come.
        started: how many spans there should be; None where nobody says.
        incomplete: it is tagged so.
        rooted: a root of it has come, its own, or that of a part of another process's trace.
        misses: how often spans of it were found missing.
    """

    id: str
    known: set[str] = field(default_factory=set)
    awaited: dict[str, Awaited] = field(default_factory=dict)
    delivery: str = ""
    started: int | None = None
    incomplete: bool = False
    rooted: bool = False
    misses: int = 0

    def lacks(self, stored: int) -> bool:
        """Whether so many stored spans are fewer than there should be."""
        return self.started is not None and stored < self.started


@dataclass(slots=True, eq=False)
class Sent:
    """A request's traces whose root it brought, to be asked about from ``due`` on, by the monotonic clock."""

    request: Request
    due: float
    traces: dict[str, Trace] = field(default_factory=dict)

    @property
    def spans(self) -> int:
        """How many spans there must be below its tag."""
        return sum(len(trace.known) for trace in self.traces.values())


class Ledger:
    """The traces and requests that are still of interest; of the traces, the 5,000 touched last.

    Attributes:
        awaited: how many spans are.
    """

    def __init__(self) -> None:
        self.traces: OrderedDict[str, Trace] = OrderedDict()
        self.sent: OrderedDict[str, Sent] = OrderedDict()
        self.awaited = 0

    def trace(self, trace_id: str) -> Trace:
        trace = self.traces.setdefault(trace_id, Trace(trace_id))
        self.traces.move_to_end(trace_id)
        return trace

    def wait(self, trace: Trace, entry: Entry) -> Awaited | None:
        """The entry was taken, and is to be seen; returns another line of the same span that no longer is."""
        span = entry.line.span
        earlier = trace.awaited.get(span)
        self.awaited += earlier is None
        trace.awaited[span] = Awaited(entry.writer, entry.place, entry.line if entry.loose else None)
        return earlier if earlier and earlier[:2] != (entry.writer, entry.place) else None

    def release(self, trace: Trace, spans: Iterable[str]) -> list[Awaited]:
        """These are waited for no longer."""
        released = [trace.awaited.pop(span) for span in list(spans) if span in trace.awaited]
        self.awaited -= len(released)
        return released

    def root_taken(self, trace: Trace, root: Entry, request: Request, due: float) -> None:
        """The trace's root came with this request, and with its spans the trace is to be looked for."""
        if earlier := self.sent.get(trace.delivery):
            earlier.traces.pop(trace.id, None)
        began = started_ns(root.line.payload)
        sent = self.sent.setdefault(request.delivery, Sent(request, due))
        start, end = min(sent.request.start_ns or began, began), max(sent.request.end_ns, began)
        sent.request = Request(request.experiment, request.delivery, start, end)
        sent.traces[trace.id] = trace
        trace.delivery, trace.started = request.delivery, spans_started(root.line.payload)
        trace.incomplete = trace.lacks(len(trace.known))

    def forget(self, trace: Trace) -> list[Awaited]:
        """Nothing more is to be found out about it."""
        self.traces.pop(trace.id, None)
        if sent := self.sent.get(trace.delivery):
            sent.traces.pop(trace.id, None)
        return self.release(trace, list(trace.awaited))

    def overfull(self) -> Trace | None:
        """The trace that was not touched for longest, if there are too many."""
        return next(iter(self.traces.values())) if len(self.traces) > _REMEMBERED else None


def root_of(group: Group) -> Entry | None:
    """The trace's one root, if the group has it: a share of another process's trace has none."""
    return next((e for e in group.entries if e.line.root and is_real_root(e.line.payload)), None)
