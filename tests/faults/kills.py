"""Rows 1, 2, 3 and 9: kill -9."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.backend import DIED
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import appending, asking, forking
from tests.journal.reading import read
from tierlens import keys
from tierlens.journal.segment import lock_path, writers

WRITERS = 4
SHIPPERS = ("process", "thread")
FORK_AFTER_S = (0.0, 0.03, 0.06, 0.1, 0.2)
_CALLS_OF_A_PARENT = 50


def idle(scene: Scene) -> Finding:
    """Row 1: writers killed at random times, their spans delivered by a sidecar."""
    kills, wanted = scene.short_or_full(24, 200), scene.short_or_full(5_000, 100_000)
    turns = Turns(kills, lambda: len(scene.ledger.accepted) >= wanted)
    with scene.sidecar():
        with ThreadPoolExecutor(WRITERS) as slots:
            list(slots.map(lambda seed: _kill_at_random(scene, turns, seed), range(WRITERS)))
        recovery = scene.fresh()
        took = scene.drain()
        adopted = _adoption(scene)
        spans = scene.verdict()
    checks = (
        at_least("kills", turns.taken, kills),
        at_least("accepted", spans.accepted, wanted),
        at_most("adopted", adopted, 5, " s"),
    )
    return Finding(spans, recovery, checks, (f"backlog drained {took:.1f} s after the last kill",))


class Turns:
    """How many kills there were, and whether there must be more."""

    def __init__(self, kills: int, enough: Callable[[], bool]) -> None:
        self.taken = 0
        self._kills, self._enough, self._lock = kills, enough, threading.Lock()

    def take(self) -> bool:
        with self._lock:
            if self.taken >= self._kills and self._enough():
                return False
            self.taken += 1
            return True


def _kill_at_random(scene: Scene, turns: Turns, seed: int) -> None:
    chance = random.Random(seed)
    while turns.take():
        worker = scene.start(appending.for_ever, per_s=2_000)
        time.sleep(chance.uniform(0.02, 0.5))
        worker.kill()


def _adoption(scene: Scene) -> float:
    """Seconds from a writer's death until the sidecar has delivered its last spans and cleared up behind it.

    Whole traces: of others the lines are kept for longer, since a root may still come from another process.
    """
    worker = scene.start(appending.some_then_wait, 25, spans_a_trace=5)
    (said,) = scene.ledger.wait_for("appended")
    worker.kill()
    return scene.until(lambda: not lock_path(scene.journal, said["writer"]).exists())


def inside_a_write(scene: Scene) -> Finding:
    """Row 2: large records, each writer killed just after one was announced, and all delivered afterwards."""
    kills = scene.short_or_full(24, 100)
    chance = random.Random(2)
    for number in range(kills):
        _kill_inside(scene, 64 << 10 if number % 2 else 1 << 20, chance)
    _, torn = read(scene.journal)
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    unsaid = len(scene.ledger.announced) - spans.accepted
    checks = (
        equal("kills", kills, kills),
        at_least("of which tore a line", torn, 1),
        at_most("torn lines", torn, kills),
    )
    return Finding(spans, recovery, checks, (f"{unsaid} appends had not returned",))


def _kill_inside(scene: Scene, size: int, chance: random.Random) -> None:
    before = len(scene.ledger.announced)
    wanted = before + chance.randrange(1, 4)
    worker = scene.start(appending.flat_out, size=size)
    scene.ledger.wait_until(lambda: len(scene.ledger.announced) >= wanted, "that it appends")
    time.sleep(chance.uniform(0.0, 0.002))
    worker.kill()
    scene.ledger.settle()


def inside_a_model_call(scene: Scene) -> Finding:
    """Row 3: a graph killed while its model has not answered; the sidecar shows what it was asked."""
    kills = scene.short_or_full(3, 20)
    shown = []
    with scene.sidecar():
        for number in range(kills):
            shown.append(_show_what_was_asked(scene, f"question {number}: why did Kisqali's share fall?"))
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    slowest = max(shown)
    checks = (
        equal("shown as ERROR, process died, with the prompt", sum(map(math.isfinite, shown)), kills),
        at_most("after the death", slowest, 10, " s"),
    )
    return Finding(spans, recovery, checks)


def _show_what_was_asked(scene: Scene, question: str) -> float:
    """Seconds from the death until MLflow shows the call that was under way; inf if it never did."""
    asked = len(scene.ledger.noted("asked"))
    worker = scene.start(asking.stuck_in_a_model_call, question)
    scene.ledger.wait_for("asked", asked + 1)
    time.sleep(0.3)
    worker.kill()
    return scene.until(lambda: _is_shown(scene, question), 30.0)


def _is_shown(scene: Scene, question: str) -> bool:
    for content in scene.backend.contents(scene.experiment).values():
        model = content["attributes"].get(keys.SPAN_TYPE, "").strip('"') == "CHAT_MODEL"
        if model and question in content["attributes"].get(keys.INPUTS, ""):
            status = content["status"]
            return bool(status["code"] == "STATUS_CODE_ERROR" and status["message"] == DIED)
    return False


def only_the_parent(scene: Scene) -> Finding:
    """Row 9: parents killed right after a burst; a child of each records on, and has it delivered.

    They fork so soon after their start that a shipping thread may be in the midst of its own beginnings.
    """
    kinds = [(kind, delay_s) for kind in SHIPPERS for delay_s in FORK_AFTER_S]
    families = kinds * scene.short_or_full(1, 15)
    journals = [scene.folder / f"journal-{number}" for number in range(len(families))]
    with ThreadPoolExecutor(2) as slots:
        orphan = partial(_adopted_from_the_parent, scene, _CALLS_OF_A_PARENT)
        adopted = list(slots.map(orphan, families, journals))
    for journal in journals:
        scene.tierlens("ship", "--once", "--journal-dir", str(journal))
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    worst = {
        kind: max(took for (of, _), took in zip(families, adopted, strict=True) if of == kind) for kind in SHIPPERS
    }
    checks = tuple(at_most(f"parent's segment gone, {kind}", took, 10, " s") for kind, took in worst.items())
    return Finding(spans, recovery, checks, (f"the slowest of {len(families) // len(SHIPPERS)} parents each",))


def _adopted_from_the_parent(scene: Scene, calls: int, family: tuple[str, float], journal: Path) -> float:
    """Seconds from the parent's death until all it left is delivered and gone; inf after 20 s."""
    orders = scene.orders(journal=journal)
    parent = scene.start_cold(forking.parent_of_a_survivor, calls, *family, orders=orders)
    said = partial(_said_by, scene, parent.pid)
    child = scene.ledger.wait_until(lambda: said("survives"), "that a child lives")
    try:
        scene.ledger.wait_until(lambda: said("emitted"), "that the parent has recorded")
        parent.kill()
        return scene.until(lambda: not _left_by(journal, parent.pid), 20.0)
    finally:
        os.kill(child["pid"], signal.SIGKILL)


def _said_by(scene: Scene, parent: int, note: str) -> dict[str, Any] | None:
    return next((said for said in scene.ledger.noted(note) if said["parent"] == parent), None)


def _left_by(journal: Path, pid: int) -> bool:
    return any(writer.name.split("-")[1] == str(pid) for writer in writers(journal))
