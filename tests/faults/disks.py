"""Rows 18 and 19: no room."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.gate import fine, no_answer
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import cramped
from tests.journal.reading import read
from tierlens.journal.quota import usage

QUOTA: Final = 10 << 20
SEGMENT: Final = 1 << 20
WRITERS: Final = 4


def full_disk(scene: Scene) -> Finding:
    """Row 18: a disk of 8 MB fills while the server is away; and files may not grow beyond 256 KB."""
    scene.start(cramped.with_short_files, scene.short_or_full(300, 5_000)).join()
    scene.tierlens("ship", "--once", "--journal-dir", str(scene.journal))
    gate = scene.gate(no_answer)
    with _cramped(scene, gate.uri) as worker:
        (losses,) = scene.ledger.wait_for("losses")
        gate.rule = fine
        recovery = _fresh_on_it(scene, worker)
        scene.drain()
        spans = scene.verdict()
    (full,), (host,), (room,), (short,) = map(scene.ledger.noted, ("full", "host", "room", "short files"))
    checks = (
        equal("refused for", full["reasons"], ["full"]),
        equal("host's calls that returned what they should", host["good"], cramped.CALLS),
        at_least("their spans refused", host["refused"], cramped.CALLS),
        at_most("accepts again after", room["after_s"], 5, " s"),
        at_least("refused", losses["counted"], cramped.REFUSALS),
        equal("said by loss markers", losses["marked"], losses["counted"]),
        equal("stored though refused", scene.backend.count(scene.experiment) - spans.accepted, 0),
        equal("refused for short files", short["refused"], 0),
    )
    return Finding(spans, recovery, checks)


def _fresh_on_it(scene: Scene, worker: subprocess.Popen[bytes]) -> float:
    """Seconds until a span appended now, on the small disk, is stored."""
    scene.ledger.settle()
    before, began = set(scene.ledger.accepted), time.monotonic()
    assert worker.stdin is not None
    worker.stdin.write(b"one more\n")
    worker.stdin.flush()
    fresh = scene.ledger.wait_until(lambda: set(scene.ledger.accepted) - before, "that it appends")
    scene.until(lambda: scene.backend.has_span(scene.experiment, next(iter(fresh))), 30.0)
    return time.monotonic() - began


def quota(scene: Scene) -> Finding:
    """Row 19: four writers share 10 MB, while nobody delivers."""
    with _largest(scene.journal) as largest:
        workers = [scene.start(cramped.within_a_quota, QUOTA, SEGMENT, 500) for _ in range(WRITERS)]
        for worker in workers:
            worker.join()
    told = scene.ledger.wait_for("quota reached", WRITERS)
    found, _ = read(scene.journal)
    marked = sum(sum(line.refused.values()) for line in found if line.refused)
    refused = sum(sum(note["refused"].values()) for note in told)
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    checks = (
        at_most("disk", max(largest) / 1e6, (QUOTA + SEGMENT) / 1e6, " MB"),
        at_least("refused", refused, 500 * WRITERS),
        equal("said by loss markers", marked, refused),
    )
    return Finding(spans, recovery, checks)


@contextmanager
def _largest(journal: Path) -> Iterator[list[int]]:
    """The journal's size, the largest so far."""
    found, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.005):
            found[0] = max(found[0], usage(journal))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@contextmanager
def _cramped(scene: Scene, uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """The worker that mounts a small disk, where only it and what it starts can see it."""
    may = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*may, sys.executable, "-m", "tests.faults.workers.cramped", scene.orders(uri).as_json()]
    with (scene.folder / "cramped.log").open("ab") as log:
        worker = subprocess.Popen(
            command, env=scene.environment(uri), cwd=scene.folder, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    try:
        yield worker
    finally:
        worker.communicate(timeout=60)
