"""The rows that other clients run, one definition for all: each does to a peer's host what its row does to ours.

A host's client has opened, and delivered one call, before the fault begins. Where our own form is larger, or a clock
is scaled, the row's notes say so.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from tests.faults.peers.scene import PeerScene
from tests.faults.peers.worker import CHILDREN, HANGS_AFTER_S, poison
from tests.faults.rows import Finding

PER_S: Final = 10
WRITERS: Final = 4
KILLS_EACH: Final = 3
EXIT_S: Final = 60.0
OUTAGE_S: Final = 60.0
BACK_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A fault, as a client other than ours is put through it."""

    key: str
    fault: str
    run: Callable[[PeerScene], Finding]

    @property
    def number(self) -> int:
        return int(self.key.rstrip("ab"))


def none(scene: PeerScene) -> Finding:
    """No fault at all: what a client delivers at this pace to a backend that is well."""
    scene.run("leaves", 120, count=100, per_s=PER_S)
    return _found(scene, _exit_delay(scene))


def killed(scene: PeerScene) -> Finding:
    """Row 1: four hosts at a time, each killed at a random time of its life."""
    with ThreadPoolExecutor(WRITERS) as slots:
        list(slots.map(lambda seed: _kill_at_random(scene, seed), range(WRITERS)))
    return _found(scene, f"{WRITERS * KILLS_EACH} kills, each after 1 to 15 s")


def _kill_at_random(scene: PeerScene, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(KILLS_EACH):
        host = scene.start("for_ever", per_s=PER_S)
        host.go()
        time.sleep(chance.uniform(1.0, 15.0))
        host.process.kill()
        host.process.wait()


def terminated(scene: PeerScene) -> Finding:
    """Row 4: SIGTERM to a host without a handler."""
    return _terminated(scene, handles=False)


def terminated_handling(scene: PeerScene) -> Finding:
    """Row 4: SIGTERM to a host whose own handler calls ``sys.exit``, as gunicorn's workers do."""
    return _terminated(scene, handles=True)


def _terminated(scene: PeerScene, handles: bool) -> Finding:
    # 7.3 s of calls: not a multiple of any client's interval, so that some are still to be sent.
    host = scene.start("told_to_end", count=73, per_s=PER_S, handles=handles)
    host.go()
    scene.ledger.wait_for("recorded")
    host.process.send_signal(signal.SIGTERM)
    return _found(scene, f"exit code {host.ended(EXIT_S)}")


def left_while_down(scene: PeerScene) -> Finding:
    """Row 5: a host ends while its backend's port is closed; the backend is back afterwards."""
    host = scene.start("leaves", count=50, per_s=PER_S)
    with scene.outage():
        host.go()
        scene.ledger.wait_for("ends")
        code = host.ended(EXIT_S)
    ended = f"killed: it had not ended after {EXIT_S:.0f} s" if code is None else _exit_delay(scene)
    return _found(scene, ended)


def forked(scene: PeerScene) -> Finding:
    """Row 6: eight forks while a thread calls; the children flush before their end."""
    scene.run("forks", HANGS_AFTER_S + EXIT_S, count=10, per_s=PER_S)
    said = scene.ledger.noted("forked")
    hung = f"{said[0]['hung']} of {CHILDREN} children hung" if said else "the parent had to be killed"
    return _found(scene, hung)


def one_task_each(scene: PeerScene) -> Finding:
    """Row 8: a child for every task, gone by ``os._exit`` right after it."""
    return _tasks(scene, flushes=False)


def one_flushed_task_each(scene: PeerScene) -> Finding:
    """Row 8, and each child waits for the client's own flush before its end."""
    return _tasks(scene, flushes=True)


def _tasks(scene: PeerScene, flushes: bool) -> Finding:
    scene.run("one_task_each", 300, tasks=40, flushes=flushes)
    said = scene.ledger.noted("forked")
    hung = said[0]["hung"] if said else 0
    return _found(scene, *([f"{hung} children hung, {HANGS_AFTER_S:.0f} s each"] if hung else []))


def down_for_a_while(scene: PeerScene) -> Finding:
    """Row 10: the backend's port is closed for a minute of a host's life."""
    host = scene.start("leaves", count=int((OUTAGE_S + BACK_S) * PER_S), per_s=PER_S)
    with scene.outage():
        host.go()
        time.sleep(OUTAGE_S)
    scene.ledger.wait_for("ends", timeout_s=BACK_S + 120)
    code = host.ended(EXIT_S)
    return _found(scene, f"{OUTAGE_S:.0f} s stand for the hour", *(["killed at its exit"] if code is None else []))


def among_poison(scene: PeerScene) -> Finding:
    """Row 16: poisonous inputs among innocent calls; only those are counted."""
    code = scene.run("poisoned", 300, innocents=8, per_s=PER_S)
    raised = [f"{note['error']} for {note['what']}" for note in scene.ledger.noted("raised")]
    told = f"raised into the host: {', '.join(raised)}" if raised else "nothing raised into the host"
    found = _found(scene, f"{len(poison())} poisons; {told}", *([f"exit code {code}"] if code else []))
    if found.spans is None or not found.spans.lost:
        return found
    alone = [f"{name} alone: {_lost_beside(scene, name)}" for name in poison()]
    return replace(found, notes=(*found.notes, *alone))


def _lost_beside(scene: PeerScene, name: str) -> str:
    """How many innocent calls are lost beside one poison."""
    before, lost = len(scene.ledger.accepted), len(scene.verdict().lost)
    scene.run("poisoned", 120, innocents=8, per_s=PER_S, only=name)
    after = scene.verdict()
    return f"{len(after.lost) - lost} of {len(scene.ledger.accepted) - before} lost"


def _found(scene: PeerScene, *notes: str) -> Finding:
    recovery = scene.fresh()
    return Finding(scene.verdict(), recovery, notes=notes)


def _exit_delay(scene: PeerScene) -> str:
    took = time.monotonic() - float(scene.ledger.noted("ends")[-1]["at"])
    return f"exit took {took:.1f} s"


ROWS: Final = (
    PeerRow("0", "none: a backend that is well, a clean exit", none),
    PeerRow("1", "kill -9 at a random time", killed),
    PeerRow("4a", "SIGTERM, no handler", terminated),
    PeerRow("4b", "SIGTERM, the host's own handler exits", terminated_handling),
    PeerRow("5", "clean exit, backend down", left_while_down),
    PeerRow("6", "os.fork x 8 while active, children flush", forked),
    PeerRow("8a", "child os._exit after one task", one_task_each),
    PeerRow("8b", "the same, flushed by the child", one_flushed_task_each),
    PeerRow("10", "backend down for a while", down_for_a_while),
    PeerRow("16", "poisonous inputs among innocent calls", among_poison),
)
