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

from tests.faults.backend import DIED
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import appending, asking, forking
from tests.journal.reading import read
from tierlens import keys
from tierlens.journal.segment import lock_path, writers

WRITERS = 4
_PATIENCE_S = 60.0


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
    """Seconds from a writer's death until the sidecar has delivered its last spans and cleared up behind it."""
    worker = scene.start(appending.some_then_wait, 25)
    (said,) = scene.ledger.wait_for("appended")
    worker.kill()
    return _seconds_until(lambda: not lock_path(scene.journal, said["writer"]).exists())


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
    checks = (equal("kills", kills, kills), at_least("torn lines", torn, 1), at_most("torn lines", torn, kills))
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
    return _seconds_until(lambda: _is_shown(scene, question), 30.0)


def _is_shown(scene: Scene, question: str) -> bool:
    for content in scene.backend.contents(scene.experiment).values():
        model = content["attributes"].get(keys.SPAN_TYPE, "").strip('"') == "CHAT_MODEL"
        if model and question in content["attributes"].get(keys.INPUTS, ""):
            status = content["status"]
            return bool(status["code"] == "STATUS_CODE_ERROR" and status["message"] == DIED)
    return False


def only_the_parent(scene: Scene) -> Finding:
    """Row 9: the parent is killed right after a burst; the child, which records on, delivers it."""
    calls = scene.short_or_full(200, 2_000)
    parent = scene.start(forking.parent_of_a_survivor, calls)
    (child,) = scene.ledger.wait_for("survives")
    try:
        (said,) = scene.ledger.wait_for("emitted")
        parent.kill()
        adopted = _seconds_until(lambda: not _left_by(scene, said["pid"]))
        recovery = scene.fresh()
    finally:
        os.kill(child["pid"], signal.SIGKILL)
    with scene.sidecar():
        scene.drain()
        spans = scene.verdict()
    return Finding(spans, recovery, (at_most("parent's segment delivered and gone", adopted, 10, " s"),))


def _left_by(scene: Scene, pid: int) -> bool:
    return any(writer.name.split("-")[1] == str(pid) for writer in writers(scene.journal))


def _seconds_until(so: Callable[[], bool], at_most_s: float = _PATIENCE_S) -> float:
    """Seconds until it is so; inf if it never is."""
    began = time.monotonic()
    while not so():
        if time.monotonic() - began > at_most_s:
            return math.inf
        time.sleep(0.02)
    return time.monotonic() - began
