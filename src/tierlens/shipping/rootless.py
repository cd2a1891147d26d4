"""Traces whose spans are stored without their root: it is on its way, came to another shipper, or never comes.

A root says whether its trace is complete. One that the journal had to refuse, or that lies in the dead letters, says
nothing, and neither does the root that came while somebody else shipped of the spans that have come since. So whoever
stored such spans asks what the trace says of itself, and speaks for it where that is not right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tierlens import keys
from tierlens.errors import Rejected
from tierlens.projection.tags import completeness
from tierlens.shipping.clock import Clock
from tierlens.sinks.witness import Witness

_REMEMBERED: Final = 50_000

StartTags = Callable[[str], Mapping[str, str]]


class Rootless:
    """Follows traces until their root comes, or is waited for no longer.

    Args:
        patience_s: how long a trace may not have grown before its root counts as lost.
        over: nobody lives who could write a root, and all that was written is stored.
        start_tags: what the start record of a trace's root, by trace id, has to say of the trace, if it is known.
    """

    def __init__(self, clock: Clock, patience_s: float, over: Callable[[], bool], start_tags: StartTags) -> None:
        self._clock, self._patience_s = clock, patience_s
        self._over, self._start_tags = over, start_tags
        self._until: dict[str, float] = {}
        self._soon: dict[str, None] = {}

    def wait(self, trace_id: str, soon: bool = False) -> None:
        """The trace has grown; ``soon`` if its root may have come before, to somebody else."""
        self._until.pop(trace_id, None)
        self._until[trace_id] = self._clock.monotonic() + self._patience_s
        if soon:
            self._soon[trace_id] = None
        if len(self._until) > _REMEMBERED:
            self.drop(next(iter(self._until)))

    def drop(self, trace_id: str) -> None:
        """Its root has come, or is somebody else's."""
        self._until.pop(trace_id, None)
        self._soon.pop(trace_id, None)

    def due(self) -> str | None:
        """The trace to conclude next, if there is one."""
        first = next(iter(self._soon), None) or next(iter(self._until), None)
        return first if first and (first in self._soon or self._is_lost(first)) else None

    def next_at(self) -> float | None:
        """Monotonic time at which one is due."""
        return self._clock.monotonic() if self._soon else next(iter(self._until.values()), None)

    def conclude(self, witness: Witness, trace_id: str) -> None:
        """Have the trace tagged with how complete it is, unless its root may still come.

        Raises:
            DeliveryError: it is still due.
        """
        told, lost = witness.told(trace_id), self._is_lost(trace_id)
        # Of a root without a count, as a process that died leaves, nothing more can be said.
        if told is not None and (lost if not told.rooted else told.started is not None):
            said = completeness(told.started, len(witness.held([trace_id])[trace_id]))
            if told.complete is not (said[keys.COMPLETE] == "true"):
                witness.tag(trace_id, said)
        if told is not None and lost and not told.rooted:
            self._name(witness, trace_id)
        self._soon.pop(trace_id, None)
        if told is None or told.rooted or lost:
            self.drop(trace_id)

    def _name(self, witness: Witness, trace_id: str) -> None:
        if tags := self._start_tags(trace_id):
            with suppress(Rejected):  # whatever it is that MLflow does not take, the trace has been tagged
                witness.tag(trace_id, tags)

    def _is_lost(self, trace_id: str) -> bool:
        return self._clock.monotonic() >= self._until.get(trace_id, float("inf")) or self._over()
