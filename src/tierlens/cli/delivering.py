"""What commands that deliver show of it: a bar meanwhile, a sentence at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from tierlens.cli.output import counted, plain, print_json
from tierlens.sinks.mends import with_mend

if TYPE_CHECKING:
    from tierlens.shipping.hosts.run import RunReport

_LOOK_S: Final = 0.2


def say(report: RunReport, directory: Path, as_json: bool) -> None:
    """What came of a run, and what is left."""
    from tierlens.upkeep.survey import survey

    left = survey(directory).pending
    if as_json:
        refusal = str(report.refusal) if report.refusal else ""
        counts = {"stored": report.stored, "left": left, "drained": report.drained, "busy": report.busy}
        print_json({**counts, "refusal": refusal})
        return
    typer.echo(_sentence(report, left, directory))
    if report.refusal:
        typer.echo(plain(f"MLflow refuses it, and would again: {with_mend(report.refusal)}"))


def _sentence(report: RunReport, left: int, directory: Path) -> str:
    if report.busy and not report.stored and not report.drained:
        return f"Another process ships from {directory}; nothing was done."
    whose = ", by the process that ships from there" if report.busy else ""
    rest = "nothing is left" if report.drained else f"{counted(left, 'waits', 'wait')} in {directory} for the next try"
    return f"{counted(report.stored, 'span')} delivered{whose}; {rest}."


@contextlib.contextmanager
def progress(directory: Path, *, show: bool) -> Iterator[None]:
    """A bar on the terminal, where there is one, that follows the bytes still to be delivered."""
    if not (show and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from tierlens.upkeep.survey import ends, unread_bytes

    until = ends(directory)
    total = unread_bytes(directory, until)
    columns = ("Delivering", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        with _meanwhile(lambda: bar.update(task, completed=max(total - unread_bytes(directory, until), 0))):
            yield


@contextlib.contextmanager
def _meanwhile(look: Callable[[], None]) -> Iterator[None]:
    """Call ``look`` now and then, from a thread of its own, until the block ends."""
    done = threading.Event()

    def follow() -> None:
        while not done.wait(_LOOK_S):
            look()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()
