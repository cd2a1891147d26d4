"""The peers' table for people, and the line for machines."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.rows import Finding


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What became of a peer in a row; ``finding`` is None where the run broke off, for ``broke``."""

    peer: str
    versions: Mapping[str, str]
    key: str
    fault: str
    finding: Finding | None
    broke: str

    def in_words(self) -> str:
        return " | ".join(self.figures()) if self.finding else f"broke off: {self.broke.splitlines()[0]}"

    def figures(self) -> tuple[str, ...]:
        """Accepted, stored, lost, duplicated, recovery and notes, as shown."""
        if self.finding is None or (spans := self.finding.spans) is None:
            return (*["-"] * 5, f"broke off: {self.broke.splitlines()[0]}")
        recovery = self.finding.recovery_s
        recovered = "never" if recovery is None or math.isinf(recovery) else f"{recovery:.2f} s"
        counts = (spans.accepted, spans.stored, len(spans.lost), len(spans.duplicated))
        return (*(f"{count:,}" for count in counts), recovered, "; ".join(self.finding.notes))

    def as_json(self) -> dict[str, Any]:
        head: dict[str, Any] = {"peer": self.peer, "row": self.key, "fault": self.fault}
        if self.finding is None or self.finding.spans is None:
            return head | {"broke": self.broke}
        recovery = self.finding.recovery_s
        finite = recovery is not None and math.isfinite(recovery)
        return (
            head
            | self.finding.spans.as_json()
            | {
                "recovery_s": round(recovery, 2) if finite else None,
                "notes": list(self.finding.notes),
            }
        )


def show(results: Sequence[PeerResult]) -> None:
    """Print the table, row by row, and what it was run on."""
    console = Console(width=None if Console().is_terminal else 150)
    shown = Table(title="Other clients: faults of this run")
    for heading in ("#", "fault", "client", "accepted", "stored", "lost", "dup.", "recovered", "shown"):
        text = heading in ("fault", "client", "shown")
        shown.add_column(heading, overflow="fold", justify="left" if text else "right")
    for result in sorted(results, key=lambda result: (int(result.key.rstrip("ab")), result.key)):
        shown.add_row(result.key, result.fault, result.peer, *result.figures())
    console.print(shown)
    for peer, versions in _versions(results).items():
        console.print(f"{peer}: {', '.join(f'{package} {number}' for package, number in versions.items())}")
    console.print(", ".join(f"{name} {value}" for name, value in _environment().items()))


def as_json(results: Sequence[PeerResult]) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "environment": _environment(),
        "versions": _versions(results),
        "rows": [result.as_json() for result in results],
    }


def _versions(results: Sequence[PeerResult]) -> dict[str, dict[str, str]]:
    return {result.peer: dict(result.versions) for result in results if result.versions}


def _environment() -> dict[str, str]:
    return {"cores": str(os.cpu_count()), "Python": platform.python_version(), "mlflow server": version("mlflow")}
