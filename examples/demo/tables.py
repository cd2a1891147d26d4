"""The closing tables and links, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .figures import Agent, Brand, Tokens
from .summary import Summary


def show(console: Console, summary: Summary, data: str) -> None:
    """Print what MLflow holds of the run, and where to look at it."""
    console.print(brands_table(summary.brands, summary.total), agents_table(summary.agents))
    for line in closing_lines(summary, data):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for fault in summary.faults:
        console.print(f"Not as it should be: {fault}", style="red", soft_wrap=True, markup=False)


def brands_table(brands: Sequence[Brand], total: Brand) -> Table:
    """A row a brand, and one for all."""
    table = _table("Brand", "Traces", "Agents", "Tokens in", "Tokens out", "Cost", "p50", "p95")
    for each in (*brands, total):
        latency = (_seconds(each.p50_s), _seconds(each.p95_s))
        table.add_row(each.brand, str(each.traces), str(each.agents), *_usage(each), *latency)
    return table


def agents_table(agents: Sequence[Agent]) -> Table:
    """A row an agent."""
    table = _table("Agent", "Tier", "Calls", "Tokens in", "Tokens out", "Cost", "Errors")
    for each in agents:
        table.add_row(each.agent, str(each.tier), str(each.calls), *_usage(each), str(each.errors))
    return table


def closing_lines(summary: Summary, data: str) -> list[str]:
    """Who answered, whether the tokens agree, and the links."""
    wide = max((len(link.label) for link in summary.links), default=0)
    return [
        f"Claude: {summary.claude}.",
        f"Tokens: {_compared(summary.stored, summary.ledger)}.",
        f"Spans:  {summary.report.accepted} recorded, {summary.report.stored} stored in {data}/mlflow.db.",
        f"Took {summary.seconds:.0f} s. All data about the brands is simulated.",
        "",
        "To look at it: make ui, then open",
        *(f"  {link.label:<{wide}}  {link.url}" for link in summary.links),
    ]


def _compared(stored: Tokens, ledger: Tokens | None) -> str:
    said = f"MLflow {stored.input:,} in + {stored.output:,} out"
    if ledger is None:
        return f"{said}; the real Claude keeps no ledger to compare with"
    off = stored - ledger
    difference = f"{off.input:,} in, {off.output:,} out" if off != Tokens(0, 0) else "0"
    return f"{said}, the endpoint's ledger {ledger.input:,} + {ledger.output:,}: difference {difference}"


def _table(first: str, *others: str) -> Table:
    # Eighty columns must do.
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _usage(row: Brand | Agent) -> tuple[str, str, str]:
    return f"{row.input_tokens:,}", f"{row.output_tokens:,}", f"${row.cost_usd:.4f}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
