"""Real processes that append, and say down a pipe what was accepted only after the append has returned."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

_ID = 8


@dataclass
class Worker:
    """A forked process and what it has said so far."""

    pid: int
    pipe: int
    said: bytearray = field(default_factory=bytearray)

    def accepted(self) -> list[int]:
        """The numbers it has said, whole ones only."""
        whole = len(self.said) // _ID * _ID
        return [int.from_bytes(self.said[at : at + _ID]) for at in range(0, whole, _ID)]

    def hear(self, count: int) -> None:
        """Listen until it has said at least so many numbers."""
        while len(self.said) < count * _ID:
            piece = os.read(self.pipe, 1 << 16)
            assert piece, f"the worker ended after {len(self.said) // _ID} of {count}"
            self.said += piece

    def kill(self) -> list[int]:
        """kill -9, and all it had said."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> list[int]:
        """Listen until it ends, and all it had said."""
        while piece := os.read(self.pipe, 1 << 16):
            self.said += piece
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        return self.accepted()


def start(work: Callable[[Callable[[int], None]], None]) -> Worker:
    """Run ``work(say)`` in a forked process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            work(lambda number: os.write(writing, number.to_bytes(_ID)) and None)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    return Worker(pid, reading)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that other threads or processes bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
