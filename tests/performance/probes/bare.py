"""The reference graph without a tracer, for as many invocations as a line of stdin says: a line of JSON each.

    {"walls": [4.1, …], "cpu": 4.0}

Wall times and the CPU of the thread for one invocation, milliseconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.performance.reference import workload

QUESTION = {"q": "Why did new starts fall in Q3?", "notes": []}


@dataclass(frozen=True, slots=True)
class Block:
    """Some invocations in a row: wall times, and the thread's CPU for one; milliseconds."""

    walls: list[float]
    cpu: float


def block(graph: Any, config: dict[str, Any], n: int) -> Block:
    """``n`` invocations."""
    walls, cpu = [], time.thread_time()
    for _ in range(n):
        start = time.perf_counter()
        graph.invoke(QUESTION, config)
        walls.append((time.perf_counter() - start) * 1e3)
    return Block(walls, (time.thread_time() - cpu) / n * 1e3)


class Bare:
    """The bare graph in a process beside this one, so that no tracer's background work is in its way."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def block(self, n: int) -> Block:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(n, file=self._process.stdin, flush=True)
        return Block(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        with suppress(OSError):
            self._process.communicate(timeout=30)


def main() -> None:
    graph = workload.build()
    for line in sys.stdin:
        said = block(graph, {}, int(line))
        print(json.dumps({"walls": said.walls, "cpu": said.cpu}), flush=True)


if __name__ == "__main__":
    main()
