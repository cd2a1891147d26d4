"""The shipper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_DELAY: Final = "TIERLENS_DELIVERY_DELAY_S"
_QUOTA: Final = "TIERLENS_JOURNAL_QUOTA_MB"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, how often, how long.

    Attributes:
        traces_per_request, bytes_per_request: a request is full at whichever comes first. MLflow stores a backlog
            a fifth faster by 100 traces a request than by 20; more roots than that in one lose their link to a run.
        pending_bytes: memory that what waits may take; reading stops above it.
        slice_bytes: how much is read and checked at a time.
        breath_s: the pause after each slice; gives the interpreter back to the agent's threads.
        quiet_s: agents that have written nothing for so long rest, and what they wrote is read.
        delay_s: what agents wrote that never rest waits so long at most; 0 reads it at once.
        delay_bytes: nor does more than so much of it wait, since it fills the journal's quota.
        root_patience_s: spans whose root has not ended are sent after this long.
        metrics_patience_s: metrics of a stored span wait for their trace's root this long.
        records_per_request, runs_patience_s: invocations are put into their runs so many at a time, or after so long.
        look_s: how often the directory is listed and writers are checked for life.
        pause_s: how long an experiment rests after its credentials were refused.
        letter_tries, letter_hours: a refused span is given up after both.
        letter_first_s: pause before a refused span's second try; it doubles with each.
        blob_rest_s: how long an artifact's bytes stay after they were delivered.
        audit_s: how long after a request was taken the sink is asked whether it holds it.
        audit_rootless_s: the same for spans that came without their trace's root.
        rootless_s: a trace that has not grown for so long, and whose root has not come, is tagged as incomplete.
        audit_spans: how many spans may wait to be seen; beyond, the oldest count as seen.
    """

    traces_per_request: int = 100
    bytes_per_request: int = 4 << 20
    pending_bytes: int = 8 << 20
    slice_bytes: int = 128 << 10
    breath_s: float = 0.0
    quiet_s: float = 0.25
    delay_s: float = 3.0
    delay_bytes: int = 256 << 20
    root_patience_s: float = 1.5
    metrics_patience_s: float = 600.0
    records_per_request: int = 500
    runs_patience_s: float = 3.0
    look_s: float = 1.0
    pause_s: float = 5.0
    letter_tries: int = 6
    letter_hours: float = 24.0
    letter_first_s: float = 60.0
    blob_rest_s: float = 3600.0
    audit_s: float = 1.0
    audit_rootless_s: float = 30.0
    rootless_s: float = 3600.0
    audit_spans: int = 50_000


def limits_from(environ: Mapping[str, str]) -> Limits:
    """The numbers of a process of its own, as the settings in its environment have them."""
    return replace(Limits(), **_delay(environ))


def limits_of_thread(environ: Mapping[str, str]) -> Limits:
    """Those of a thread of the agent's: slices so small that an agent's thread never waits for the interpreter much
    longer than they take, and little held in memory, which is the agent's own."""
    calm = Limits(traces_per_request=20, pending_bytes=3 << 20, slice_bytes=48 << 10, breath_s=0.0005)
    return replace(calm, **_delay(environ))


def _delay(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if _DELAY in environ:
        found["delay_s"] = float(environ[_DELAY])
    if _QUOTA in environ:
        found["delay_bytes"] = (int(environ[_QUOTA]) << 20) // 4
    return found
