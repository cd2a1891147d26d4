"""``tierlens tail``: finished traces as trees in the terminal, from the journal alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tierlens.cli.output import AsJson, JournalDir, console, journal_directory, plain, print_json_line
from tierlens.spans import mlflow_id

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from tierlens.projection.prices import PriceBook
    from tierlens.projection.tree import Node, TraceTree

_LOOK_S: Final = 0.2
_GOOD: Final = frozenset({"", "ok", "resumed", "interrupted", "handed_off"})


def tail(
    journal_dir: JournalDir = None,
    once: Annotated[bool, typer.Option("--once", help="Show what lies there, and end.")] = False,
    traces: Annotated[int | None, typer.Option("--traces", "-n", min=1, help="End after so many traces.")] = None,
    brand: Annotated[str | None, typer.Option(help="Only this brand's.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only those with an error in them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show traces as they end, without any server.

    Reads the journal only: each trace is shown as a tree when its root has ended, with durations, tokens, cost
    and outcomes. It may start before the agents do, and goes on until it is interrupted. With --json, one
    object a line.

    Examples:

      tierlens tail

      tierlens tail --brand Kisqali --errors

      tierlens tail --once --json
    """
    from tierlens import settings
    from tierlens.config.prices import own_prices
    from tierlens.projection.prices import PriceBook

    found = settings.load(journal_dir=journal_dir)
    directory = journal_directory(journal_dir) if once else found.journal_dir
    if not once and sys.stderr.isatty():
        typer.echo(f"Waiting for traces in {directory}; Ctrl-C ends it.", err=True)
    prices = PriceBook(own_prices(found.config_dir))
    show, shown = (_print_json if as_json else _print), 0
    for trace in _ended(directory, prices, once):
        if (brand is not None and trace.brand != brand) or (errors and not _failed(trace)):
            continue
        show(trace)
        shown += 1
        if shown == traces:
            return


def _ended(directory: Path, prices: PriceBook, once: bool) -> Iterator[TraceTree]:
    from tierlens.journal.follow import Follower
    from tierlens.projection.gathering import Traces

    follower, gathered = Follower(directory), Traces(prices)
    while True:
        for written in follower.read():
            if found := gathered.add(written.line):
                yield found
        if once:
            return
        time.sleep(_LOOK_S)


def _failed(trace: TraceTree) -> bool:
    return any(node.status == "ERROR" for root in trace.roots for node in _all(root))


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _print_json(trace: TraceTree) -> None:
    root = trace.roots[0]
    print_json_line({**asdict(trace), "duration_s": root.duration_s, "outcome": root.outcome or root.status.lower()})


def _print(trace: TraceTree) -> None:
    from rich.text import Text
    from rich.tree import Tree

    root = trace.roots[0]
    ended = time.strftime("%H:%M:%S", time.localtime((root.start_ns + root.duration_s * 1e9) / 1e9))
    head = Text(f"{ended}  ", style="dim")
    head.append_text(_label(root, trace.tokens, trace.cost))
    head.append(f"  {plain(trace.brand or trace.experiment)}  {mlflow_id(trace.trace_id)}", style="dim")
    shown = Tree(head)
    _grow(shown, root)
    for stray in trace.roots[1:]:
        _grow(shown.add(_label(stray, stray.tokens, stray.cost)), stray)
    console().print(shown)


def _grow(branch: Tree, node: Node) -> None:
    for child in node.children:
        _grow(branch.add(_label(child, child.tokens, child.cost)), child)


def _label(node: Node, tokens: Any, cost: float | None) -> Text:
    from rich.text import Text

    label = Text(plain(node.name), style="bold" if node.kind == "AGENT" else "")
    label.append(f"  {plain(node.kind.lower())}" if node.kind else "", style="dim")
    label.append(f"  {_duration(node.duration_s)}", style="cyan")
    if tokens:
        label.append(f"  {tokens.get('input_tokens', 0):,} → {tokens.get('output_tokens', 0):,} tokens", style="dim")
    if cost is not None:
        label.append(f"  ${cost:.4f}", style="magenta")
    bad = node.status == "ERROR" or node.outcome not in _GOOD
    if said := node.outcome or (node.status.lower() if bad else ""):
        label.append(f"  {plain(said)}", style="red" if bad else "green")
    if bad and node.message:
        label.append(f": {plain(node.message)[:200]}", style="red")
    return label


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
