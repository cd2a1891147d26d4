"""Where workers are born: a process without threads, which has imported what they need, and forks them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

_NEEDED: Final = ["tests.faults.workers.needed"]


def nursery() -> ForkServerContext:
    """The context of all workers; a harness with threads of its own must not fork them itself."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_NEEDED)
    return context


def _logged(log: Path, work: Callable[..., None], *arguments: Any, **named: Any) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    work(*arguments, **named)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process."""

    process: BaseProcess

    @classmethod
    def started(cls, log: Path, work: Callable[..., None], *arguments: Any, **named: Any) -> Worker:
        """A worker born in the nursery, whose output goes to a file."""
        return cls._begun(nursery().Process(target=_logged, args=(log, work, *arguments), kwargs=named))

    @classmethod
    def cold(cls, log: Path, work: Callable[..., None], *arguments: Any) -> Worker:
        """A worker in an interpreter of its own, that has imported no more than ``work`` needs."""
        return cls._begun(multiprocessing.get_context("spawn").Process(target=_logged, args=(log, work, *arguments)))

    @classmethod
    def _begun(cls, process: BaseProcess) -> Worker:
        process.start()
        return cls(process)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def kill(self) -> None:
        """kill -9, and wait for its death."""
        self.signal(signal.SIGKILL)
        self.join()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def join(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; its exit code.

        Raises:
            TimeoutError: it did not end; it is killed then.
        """
        # Not Process.join: it also waits for whatever the worker has forked.
        deadline = time.monotonic() + timeout_s
        while self.process.exitcode is None:
            if time.monotonic() > deadline:
                self.process.kill()
                raise TimeoutError(f"worker {self.pid} did not end in {timeout_s:.0f} s")
            time.sleep(0.002)
        return self.process.exitcode
