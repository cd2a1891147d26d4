"""Rows 23 and 24: time that jumps, and time that stands still."""

from __future__ import annotations

import signal
import time

from tests.faults.gate import Gate
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import appending, shifting


def a_day_off(scene: Scene) -> Finding:
    """Row 23: the wall clock is set a day forth, two back, one forth, while writers live and have open spans."""
    worker = scene.start(shifting.shifted_by_a_day, scene.short_or_full(50, 1_000))
    worker.join(120)
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    shipped = scene.ledger.noted("shipped")
    (order,) = scene.ledger.wait_for("order")
    early = sum(note["writers"] - note["living"] for note in shipped)
    checks = (
        equal("living writers taken for dead", early, 0),
        equal("open spans shown as died", sum(row.died for row in scene.backend.spans(scene.experiment)), 0),
        equal("writers whose order was kept", order["kept"], order["writers"]),
    )
    return Finding(spans, recovery, checks)


def frozen(scene: Scene) -> Finding:
    """Row 24: SIGSTOP to an agent and, two seconds later, to the shipper; another agent goes on; SIGCONT."""
    seconds = scene.short_or_full(4, 60)
    gate = scene.gate()
    # By default it would wait for a moment in which nobody writes, and not post in every two seconds.
    with scene.sidecar(gate.uri, TIERLENS_DELIVERY_DELAY_S="0") as sidecar:
        stopped, _ = (scene.start(appending.for_ever, per_s=100) for _ in range(2))
        scene.until(lambda: len(gate.span_posts) > 3)
        before = _posts_in(gate, 2.0)
        stopped.signal(signal.SIGSTOP)
        time.sleep(2.0)
        sidecar.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        accepted = len(scene.ledger.accepted)
        sidecar.send_signal(signal.SIGCONT)
        stopped.signal(signal.SIGCONT)
        recovery = scene.fresh()
        after = _posts_in(gate, 2.0)
        resumed = len(scene.ledger.accepted) - accepted
        for worker in scene.workers:
            worker.kill()
        scene.drain()
        spans = scene.verdict()
    refused = sum(post.status != 200 for post in gate.span_posts)
    checks = (
        at_most("posts of spans in 2 s, after / before", after / before, 2),
        equal("posts refused", refused, 0),
        at_least("spans since", resumed, 200),
        equal("the frozen agent's spans shown as died", sum(r.died for r in scene.backend.spans(scene.experiment)), 0),
    )
    return Finding(spans, recovery, checks, (f"frozen for {seconds} s",))


def _posts_in(gate: Gate, seconds: float) -> int:
    before = len(gate.span_posts)
    time.sleep(seconds)
    return len(gate.span_posts) - before
