"""What became of the spans this process has accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FlushReport:
    """The state of delivery at one moment.

    Attributes:
        accepted: finished spans this process has appended to its journal; one appended again, as retried, counts twice.
        stored: how many of them the sink has taken.
        pending: how many lie in the journal and will be sent, by this process or by whoever ships next.
        refused: how many were not accepted, or not taken by the sink, by reason.
    """

    accepted: int
    stored: int
    pending: int
    refused: Mapping[str, int] = field(default_factory=dict)
