"""The journal's background thread: it syncs what was written, and sleeps while nothing is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger("tierlens.journal")

_IDLE_ROUNDS: Final = 20


class BackgroundThread:
    """Runs ``work`` every ``interval_s`` for as long as it returns True now and then.

    ``work`` returns whether there was anything to do; after twenty rounds without, ``rest`` is called and the
    thread ends. ``start`` is then what the journal calls before it writes again.
    """

    def __init__(self, work: Callable[[], bool], rest: Callable[[], bool], interval_s: float) -> None:
        self._work, self._rest, self._interval_s = work, rest, interval_s
        self._stop = threading.Event()

    def start(self) -> bool:
        """Start the thread; False where no thread can be started, as late in the interpreter's shutdown."""
        try:
            threading.Thread(target=self._run, name="tierlens-journal", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        idle = 0
        while not self._stop.wait(self._interval_s):
            try:
                idle = 0 if self._work() else idle + 1
            except Exception:
                log.exception("syncing the journal failed; tried again in %s s", self._interval_s)
            if idle >= _IDLE_ROUNDS and self._rest():
                return
