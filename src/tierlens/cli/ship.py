"""``tierlens ship``: delivers what lies in the journal, once or as a sidecar."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tierlens import settings
from tierlens.cli.output import AsJson, counted, print_json

if TYPE_CHECKING:
    from tierlens.shipping.run import RunReport
    from tierlens.sinks.base import Sink

_LOOK_S: Final = 0.2
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def ship(
    once: Annotated[bool, typer.Option("--once", help="Deliver what lies there, and end.")] = False,
    journal_dir: Annotated[
        Path | None, typer.Option("--journal-dir", "--journal", help="The journal; without it, the settings'.")
    ] = None,
    patience: Annotated[
        float, typer.Option(help="With --once: seconds to go on while MLflow takes nothing.", min=0)
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Deliver what lies in the journal.

    Without --once it goes on until it is told to stop: the sidecar for TIERLENS_SHIPPER=external. The journal
    names brands and experiments, never the server, so what was recorded for one server can be delivered to
    another. The exit code is 1 if anything is left.

    Examples:

      tierlens ship --once

      MLFLOW_TRACKING_URI=http://other:5000 tierlens ship --once --json

      tierlens ship --journal-dir /var/lib/app/journal
    """
    from tierlens.sinks.configured import sink_for

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    found = settings.load(journal_dir=journal_dir)
    sink = sink_for(found)
    with contextlib.closing(sink):
        if once:
            report = _once(found.journal_dir, sink, patience, show=sys.stderr.isatty() and not as_json)
        else:
            report = _until_told(found.journal_dir, sink)
    left = _left(found.journal_dir)
    if as_json:
        print_json({"stored": report.stored, "left": left, "drained": report.drained, "busy": report.busy})
    else:
        typer.echo(_sentence(report, left, found.journal_dir))
    if not report.drained and (once or report.busy):
        raise typer.Exit(1)


def _once(directory: Path, sink: Sink, patience_s: float, *, show: bool) -> RunReport:
    from tierlens.shipping.run import run_once

    with _progress(directory) if show else contextlib.nullcontext():
        return run_once(directory, sink, patience_s=patience_s)


def _until_told(directory: Path, sink: Sink) -> RunReport:
    from tierlens.shipping.run import run_forever

    stop = threading.Event()
    # A thread waits for the signals, as a handler would deadlock: it would run inside the main thread's own
    # wait for this event, which holds the event's lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    threading.Thread(target=_set_when_told, args=(stop,), daemon=True).start()
    return run_forever(directory, sink, stop)


def _set_when_told(stop: threading.Event) -> None:
    signal.sigwait(_STOPPING)
    stop.set()


def _left(directory: Path) -> int:
    from tierlens.cli.journal_state import journal_state

    return journal_state(directory).pending if directory.is_dir() else 0


def _sentence(report: RunReport, left: int, directory: Path) -> str:
    if report.busy:
        return f"Another process ships from {directory}; nothing was done."
    rest = "nothing is left" if report.drained else f"{counted(left, 'waits', 'wait')} in {directory} for the next try"
    return f"{counted(report.stored, 'span')} delivered; {rest}."


@contextlib.contextmanager
def _progress(directory: Path) -> Iterator[None]:
    """A bar on the terminal that follows the bytes still to be delivered."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from tierlens.cli.journal_state import unread_bytes

    total = unread_bytes(directory)
    done = threading.Event()
    columns = ("Delivering", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def follow() -> None:
            while not done.wait(_LOOK_S):
                bar.update(task, completed=max(total - unread_bytes(directory), 0))

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()
