"""The table for people, and the line for machines."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.rows import Finding, Result


def show(results: Sequence[Result], full: bool) -> None:
    """Print the table, how many rows passed, and what it was run on."""
    console = Console(width=None if Console().is_terminal else 150)
    shown = Table(title=f"tierlens: faults of this run ({'full' if full else 'short'} forms)", show_lines=True)
    for heading in ("#", "fault", "accepted", "stored", "lost", "dup.", "recovered", "verdict", "shown"):
        shown.add_column(heading, overflow="fold", justify="left" if heading in ("fault", "shown") else "right")
    for result in results:
        shown.add_row(*_cells(result))
    console.print(shown)
    passed = sum(result.passed() for result in results)
    console.print(f"{passed} of {len(results)} rows passed in {sum(result.took_s for result in results):.0f} s")
    console.print(", ".join(f"{name} {value}" for name, value in _environment().items()))


def as_json(results: Sequence[Result], full: bool) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "form": "full" if full else "short",
        "environment": _environment(),
        "passed": sum(result.passed() for result in results),
        "rows": [result.as_json() for result in results],
    }


def as_markdown(results: Sequence[Result]) -> str:
    """The table as a page has it."""
    lines = [
        "| # | fault | accepted | stored | lost | doubled | recovered | measured beside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        figures = _figures(result.finding) if result.finding is not None else ("-",) * 5
        checks = result.finding.checks if result.finding is not None else ()
        beside = "; ".join(f"{check.what} {check.measured}{'' if check.met else ', **missed**'}" for check in checks)
        lines.append("| " + " | ".join((result.row.key, result.row.fault, *figures, beside or result.broke)) + " |")
    return "\n".join(lines) + "\n"


def _cells(result: Result) -> tuple[str, ...]:
    verdict = "[green]passed[/]" if result.passed() else "[bold red]FAILED[/]"
    head = (result.row.key, f"{result.row.fault}\n[dim]{result.row.must}[/]")
    if result.finding is None:
        return (*head, *["-"] * 5, verdict, f"broke off: {result.broke.splitlines()[0]}")
    return (*head, *_figures(result.finding), verdict, _shown(result.finding))


def _figures(finding: Finding) -> tuple[str, ...]:
    recovery = finding.recovery_s
    recovered = "-" if recovery is None else "never" if math.isinf(recovery) else f"{recovery:.2f} s"
    if (spans := finding.spans) is None:
        return (*["-"] * 4, recovered)
    return (f"{spans.accepted:,}", f"{spans.stored:,}", f"{len(spans.lost):,}", f"{len(spans.duplicated):,}", recovered)


def _shown(finding: Finding) -> str:
    lines = [f"{check.what}: {check.measured}{'' if check.met else ' [bold red]missed[/]'}" for check in finding.checks]
    if finding.spans is not None:
        odd = {"altered": finding.spans.altered, "unknown": finding.spans.unknown}
        lines += [f"[bold red]{len(ids)} {name}[/], {ids[0]} first" for name, ids in odd.items() if ids]
    return "\n".join([*lines, *finding.notes])


def _environment() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
        "Python": platform.python_version(),
        "mlflow": metadata.version("mlflow"),
        "tierlens": metadata.version("tierlens"),
    }
