"""The table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.performance.rows import Reading, Row


def table(readings: Mapping[Row, Reading]) -> Table:
    """One line a row: must, measured with its noise, met or missed, how."""
    shown = Table(title="tierlens: figures of this run (median of the rounds, lowest..highest)", show_lines=True)
    for heading in ("", "must", "measured", "", "how"):
        shown.add_column(heading, overflow="fold")
    for row, reading in readings.items():
        if reading.failed:
            shown.add_row(row.what, row.must, "-", "[bold red]failed[/]", reading.failed.strip().splitlines()[-1])
            continue
        verdict = "[green]met[/]" if row.met(reading.value) else f"[bold red]missed[/] {_by_how_much(row, reading)}"
        how = "\n".join(part for part in (reading.how, reading.beside) if part)
        shown.add_row(row.what, row.must, _measured(row, reading), verdict, how)
    return shown


def _measured(row: Row, reading: Reading) -> str:
    low, high = min(reading.samples), max(reading.samples)
    noise = f"\n{low:.3g}..{high:.3g}" if low != high else ""
    return f"{reading.value:.3g} {row.unit}".strip() + noise


def _by_how_much(row: Row, reading: Reading) -> str:
    return f"by {abs(reading.value - row.bound):.3g}"


def show(readings: Mapping[Row, Reading], environment: Mapping[str, Any]) -> None:
    """Print the table, and what it was measured on."""
    console = Console()
    console.print(table(readings))
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    console.print(f"{environment['cpu']}, {environment['cores']} cores, load {environment['load']}")
    console.print(f"Python {environment['python']}, {versions}")
    if peers := environment.get("peers"):
        console.print("peers: " + ", ".join(f"{name} {version}" for name, version in peers.items()))
