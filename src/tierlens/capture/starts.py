"""Start records, written behind the agent's back: what goes on for a while is known of should its process die."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from tierlens.capture.recorder import Recorder
from tierlens.journal.forks import follow_forks

AFTER_S: Final = 0.05


class StartRecords:
    """A thread that has a recorder journal the start of all that is open for ``after_s``; asleep while nothing is.

    Args:
        after_s: also how often it looks, so that work is on record after twice as long at the latest.
    """

    def __init__(self, recorder: Recorder, after_s: float = AFTER_S) -> None:
        self._recorder, self._after_s = recorder, after_s
        self._begin()
        recorder.when_busy = self.wake
        follow_forks(self)

    def _begin(self) -> None:
        self._busy, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """See to it that the thread is there and looks; called at the start of every trace."""
        if self._busy.is_set():
            return
        self._busy.set()
        if self._thread is None and not self._stop.is_set():
            thread = threading.Thread(target=self._run, name="tierlens-starts", daemon=True)
            with suppress(RuntimeError):  # no more threads just now, or late in the interpreter's shutdown
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Record what is open now, and end the thread."""
        self._stop.set()
        self._busy.set()
        self._recorder.record_starts(0)

    def _run(self) -> None:
        while not self._stop.wait(self._after_s):
            try:
                self._recorder.record_starts(int(self._after_s * 1e9))
            except Exception as error:
                self._recorder.shield.report("recording starts", error)
            # In this order: a trace that begins between the two lines is seen by one of them.
            self._busy.clear()
            if self._recorder.open:
                self._busy.set()
            self._busy.wait()

    def before_fork(self) -> None:
        pass

    def after_fork_in_parent(self) -> None:
        pass

    def after_fork_in_child(self) -> None:
        """The parent's open spans stay the parent's to record."""
        for opened in self._recorder.open.values():
            opened.start_recorded = True
        self._begin()
