"""The process that ships for others: ``python -m tierlens.shipping.hosts.child JOURNAL LOCK DESTINATION``.

``LOCK`` is the descriptor of the shipper's lock, held already, or "" where another process is to make way first. All
settings are in the environment. It reads no configuration, since whoever started it has, and imports no more than
delivery needs: the sooner it is up, the sooner the first trace is in MLflow.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

ALONE_S: Final = 3600.0
"""How long it tries to deliver what the dead left; after that, whoever ships next goes on."""

_STOPPING: Final = frozenset({signal.SIGINT, signal.SIGTERM})
_FAREWELL_S: Final = 5.0
# Longer than the longest answer that whoever is to make way may be waiting for.
_STANDBY_S: Final = 180.0


def main(journal: str, descriptor: str, destination: str) -> None:
    """Ship until nobody is left to ship for."""
    # httpx would import its command line, which nobody calls here, and with it click, rich and pygments: a
    # quarter of the time until the first delivery.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # so Python spells "cannot be imported"
    from tierlens.errors import TierlensError
    from tierlens.journal.lock import FileLock
    from tierlens.journal.segment import SHIPPER_LOCK
    from tierlens.shipping.hosts.run import collect_rarely, run_forever
    from tierlens.shipping.limits import limits_from
    from tierlens.shipping.metrics import tally_from
    from tierlens.sinks.configured import sink_from

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    directory = Path(journal)
    lock = FileLock.inherited(directory / SHIPPER_LOCK, int(descriptor)) if descriptor else None
    try:
        sink = sink_from(os.environ)
    except TierlensError as error:
        # One line for the agent's log, not where in here it came up.
        logging.warning("nothing can be delivered: %s", error)
        sys.exit(1)
    collect_rarely()
    try:
        run_forever(
            directory,
            sink,
            _told_to_stop(),
            alone_s=ALONE_S,
            lock=lock,
            standby_s=_STANDBY_S,
            destination=destination,
            limits=limits_from(os.environ),
            open_tally=tally_from(os.environ, directory),
        )
    finally:
        sink.close()


def _told_to_stop() -> threading.Event:
    """Set some seconds after the first SIGTERM, or at the second.

    What stops a service may send it to all its processes at once, and the last spans are still to come then.
    """
    for number in _STOPPING | {signal.SIGHUP, signal.SIGCHLD}:
        # The host may have ignored them, and handed that on.
        signal.signal(number, signal.SIG_DFL)
    # A thread waits for the signals, as a handler would deadlock: it would run inside the main thread's own
    # wait for this event, which holds the event's lock.
    signal.pthread_sigmask(signal.SIG_SETMASK, _STOPPING)
    stop = threading.Event()

    def wait() -> None:
        signal.sigwait(_STOPPING)
        threading.Timer(_FAREWELL_S, stop.set).start()
        signal.sigwait(_STOPPING)
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


if __name__ == "__main__":
    main(*sys.argv[1:])
