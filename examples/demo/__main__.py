"""The command: starts MLflow, asks, delivers, reads back, shows, and leaves nothing running."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tierlens.errors import ServerNotStarted
from tierlens.local import MlflowServer, ServerPlan
from tierlens.local.stopping import Told, told_by_signals

if TYPE_CHECKING:
    from .summary import Summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 where all is as it should be, 1 where not, 130 where it was told to stop."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json)
    without_proxy(os.environ)
    try:
        with told_by_signals():
            summary = demonstrate(options.data, console)
    except ServerNotStarted as e:
        console.print(not_started(options.data, e), style="red", soft_wrap=True, markup=False)
        return 1
    except Told:
        console.print(f"Stopped; nothing is left running. What was recorded stays in {options.data}.", markup=False)
        return 130
    _print(summary, options, console)
    return 1 if summary.faults else 0


def demonstrate(data: Path, console: Console) -> Summary:
    """Run the application against an MLflow server on ``data``, with a progress bar, and sum up what is stored.

    Raises:
        ServerNotStarted: says why there is no server.
    """
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"Starting MLflow on {data}", total=None)
        with MlflowServer(ServerPlan(data)) as server:
            # Imported here so that --help, a wrong option and a server that cannot start are told at once:
            # the agents bring statsmodels and scikit-learn.
            from .recording import new_run, of_run, record
            from .summary import summarize

            run = new_run()
            questions = of_run(run)
            progress.update(bar, description="Asking the eleven agents", total=len(questions))
            recorded = record(questions, uri=server.uri, data=data, name=run, on_answer=lambda: progress.advance(bar))
            progress.update(bar, description="Reading back from MLflow")
            return summarize(server.uri, run, recorded, time.monotonic() - started)


def without_proxy(environ: MutableMapping[str, str]) -> None:
    """Have HTTP clients talk to this machine directly, whatever proxy the environment names for the outside."""
    named = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(filter(None, [named, "127.0.0.1"]))


def not_started(data: Path, error: ServerNotStarted) -> str:
    """What went wrong with the server, and what to do."""
    if "served already" in str(error):
        return f"{error}.\nStop that first (Ctrl-C where `make ui` runs), or give another folder with --data."
    return (
        f"The MLflow server did not start: {error}\n"
        f"All it said is in {data}/mlflow-server.log. To begin anew, delete {data}, or give another folder with --data."
    )


def _print(summary: Summary, options: argparse.Namespace, console: Console) -> None:
    from .summary import as_document
    from .tables import show

    if options.json:
        sys.stdout.write(orjson.dumps(as_document(summary), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        show(console, summary, str(options.data))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Eleven agents answer questions about three brands, traced into a local MLflow.",
        epilog="With ANTHROPIC_API_KEY set they ask the real Claude, without it tierlens' offline endpoint.",
    )
    parser.add_argument("--data", type=Path, default=Path("var/demo"), help="folder that keeps it all (var/demo)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
