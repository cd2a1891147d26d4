"""``tierlens ship``: delivers what lies in the journal, once or as a sidecar."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tierlens import settings
from tierlens.cli.delivering import progress, say
from tierlens.cli.output import AsJson, JournalDir, Patience, journal_directory

if TYPE_CHECKING:
    from tierlens.shipping.hosts.run import RunReport
    from tierlens.shipping.limits import Limits
    from tierlens.shipping.tally import OpenTally
    from tierlens.sinks.base import Sink

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def ship(
    once: Annotated[bool, typer.Option("--once", help="Deliver what lies there, and end.")] = False,
    journal_dir: JournalDir = None,
    patience: Patience = 30.0,
    as_json: AsJson = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Offer metrics to Prometheus on this port; without it, the settings'.")
    ] = None,
) -> None:
    """Deliver what lies in the journal.

    Without --once it goes on until it is told to stop: the sidecar for TIERLENS_SHIPPER=external. The journal
    names brands and experiments, never the server, so what was recorded for one server can be delivered to
    another. The exit code is 1 if anything is left.

    Examples:

      tierlens ship --once

      MLFLOW_TRACKING_URI=http://other:5000 tierlens ship --once --json

      tierlens ship --journal-dir /var/lib/app/journal --metrics-port 9464
    """
    from tierlens.config.environment import environment_of
    from tierlens.shipping.hosts.run import collect_rarely, run_once
    from tierlens.shipping.limits import limits_from
    from tierlens.shipping.metrics import tally_from
    from tierlens.sinks.configured import sink_from

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    if once and journal_dir is not None:
        journal_directory(journal_dir)
    found = settings.load(journal_dir=journal_dir, metrics_port=metrics_port)
    environment = environment_of(found)
    sink = sink_from(environment)
    open_tally = tally_from(environment, found.journal_dir, strict=metrics_port is not None)
    collect_rarely()
    with contextlib.closing(sink):
        if once:
            with progress(found.journal_dir, show=not as_json):
                report = run_once(found.journal_dir, sink, patience_s=patience, open_tally=open_tally)
        else:
            report = _until_told(found.journal_dir, sink, limits_from(environment), open_tally)
    say(report, found.journal_dir, as_json)
    if not report.drained and (once or report.busy):
        raise typer.Exit(1)


def _until_told(directory: Path, sink: Sink, limits: Limits, open_tally: OpenTally) -> RunReport:
    from tierlens.shipping.hosts.run import run_forever

    stop = threading.Event()
    # A thread waits for the signals, as a handler would deadlock: it would run inside the main thread's own
    # wait for this event, which holds the event's lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    threading.Thread(target=_set_when_told, args=(stop,), daemon=True).start()
    return run_forever(directory, sink, stop, limits=limits, open_tally=open_tally)


def _set_when_told(stop: threading.Event) -> None:
    signal.sigwait(_STOPPING)
    stop.set()
