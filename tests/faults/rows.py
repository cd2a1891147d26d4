"""A row of the table: the fault, what must show, and what did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.faults.verdict import Comparison

if TYPE_CHECKING:
    from tests.faults.scene import Scene

FRESH_WITHIN_S = 10.0
_TIMES = frozenset({" s", " µs"})


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must show beside the spans, and the figure that was measured for it.

    Attributes:
        late: of a time, how many times its bound it took; 0 for all else.
    """

    what: str
    measured: str
    met: bool
    late: float = 0.0

    def within(self, patience: float) -> bool:
        """Whether it is met where times may be so many times their bounds."""
        return self.met or 0 < self.late <= patience


def at_most(what: str, value: float, bound: float, unit: str = "") -> Check:
    """A figure that must not be larger than its bound."""
    late = value / bound if unit in _TIMES else 0.0
    return Check(what, f"{_figure(value)}{unit} (≤ {_figure(bound)}{unit})", value <= bound, late)


def at_least(what: str, value: float, bound: float, unit: str = "") -> Check:
    """A figure that must not be smaller than its bound."""
    return Check(what, f"{_figure(value)}{unit} (≥ {_figure(bound)}{unit})", value >= bound)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 or value % 1 == 0 else f"{value:.4g}"


def equal(what: str, value: object, wanted: object) -> Check:
    """A figure that must be what it must be."""
    return Check(what, f"{value}" if value == wanted else f"{value} (= {wanted})", value == wanted)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a row's run found.

    Attributes:
        spans: accepted against stored; None where a row counts cases instead.
        recovery_s: until a fresh span had passed after the fault's end; None where that was not measured.
        notes: what a reader must know of how it was run.
    """

    spans: Comparison | None
    recovery_s: float | None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    def passed(self, patience: float = 1.0) -> bool:
        """Whether all that must show does, where times may be so many times their bounds."""
        spans_are = self.spans is None or (self.spans.clean and self.spans.accepted > 0)
        fresh_did = self.recovery_s is None or self.recovery_s <= FRESH_WITHIN_S * patience
        return spans_are and fresh_did and all(check.within(patience) for check in self.checks)


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        number: as in the table of faults.
        fault, must: what is done, and what must show.
        run: brings it about.
        backend: the database MLflow runs on.
    """

    number: int
    fault: str
    must: str
    run: Callable[[Scene], Finding]
    backend: Literal["SQLite", "PostgreSQL"] = "SQLite"

    @property
    def key(self) -> str:
        """The row's number, and its database where that is not the usual one."""
        return str(self.number) if self.backend == "SQLite" else f"{self.number} {self.backend}"


@dataclass(frozen=True, slots=True)
class Result:
    """A row and what came of it; ``finding`` is None where its run broke off, for ``broke``."""

    row: Row
    finding: Finding | None
    took_s: float
    broke: str = ""

    def passed(self, patience: float = 1.0) -> bool:
        """As the finding's; never where there is none."""
        return self.finding is not None and self.finding.passed(patience)

    def as_json(self) -> Mapping[str, Any]:
        said: dict[str, Any] = {"row": self.row.key, "fault": self.row.fault, "must": self.row.must}
        said |= {"verdict": "passed" if self.passed() else "FAILED", "took_s": round(self.took_s, 1)}
        if self.finding is None:
            return said | {"broke": self.broke}
        if self.finding.spans is not None:
            said |= self.finding.spans.as_json()
        recovery = self.finding.recovery_s
        return said | {
            "recovery_s": None if recovery is None else round(recovery, 2),
            "checks": {check.what: {"measured": check.measured, "met": check.met} for check in self.finding.checks},
            "notes": list(self.finding.notes),
        }
