"""Rows 5, 10, 12 and 17: a server that is down, slow, or keeps us out."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

from tests.faults.gate import Rule, fine
from tests.faults.nursery import nursery
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import appending, pacing, shipping
from tierlens.local.ports import free_port
from tierlens.testing.http_stub import OK, Recorded, Reply

HOST: Final = "127.0.0.1"
HOUR_S: Final = 3_600
TEN_MINUTES_S: Final = 600
SHIPPERS: Final = ("process", "thread")


def clean_exit(scene: Scene) -> Finding:
    """Row 5: a host ends while nobody listens at its server's port; what it left is delivered later."""
    calls = scene.short_or_full(50, 500)
    nowhere = f"http://{HOST}:{free_port(HOST, 0)}"
    delays = {shipper: _exit_delay(scene, nowhere, calls, shipper) for shipper in ("external", *SHIPPERS)}
    began = time.monotonic()
    scene.tierlens("ship", "--once", "--journal-dir", str(scene.journal))
    shipped = time.monotonic() - began
    with scene.sidecar():
        recovery = scene.fresh()
        spans = scene.verdict()
    bare = delays.pop("external")
    checks = tuple(at_most(f"exit, {shipper}", delay - bare, 0.5, " s") for shipper, delay in delays.items())
    return Finding(spans, recovery, checks, (f"beyond {bare:.2f} s with no shipper; shipped in {shipped:.1f} s",))


def _exit_delay(scene: Scene, uri: str, calls: int, shipper: str) -> float:
    """Seconds from the last line of the host's program until its process is gone."""
    orders = scene.orders(uri)
    before = len(scene.ledger.noted("ends"))
    command = [sys.executable, "-m", "tests.faults.workers.leaving", orders.as_json(), str(calls), shipper]
    subprocess.run(command, env=scene.environment(uri), cwd=scene.folder, check=True, capture_output=True)
    ended = time.monotonic()
    return ended - scene.ledger.wait_for("ends", before + 1)[-1]["at"]


def an_hour(scene: Scene) -> Finding:
    """Row 10: the server's port is closed for an hour of the shipper's clock; memory is the shipper's and the
    agent's own."""
    spans_sent, real_s = scene.short_or_full(8_000, 360_000), scene.hour_s or scene.short_or_full(6, 90)
    port, hurried = free_port(HOST, 0), nursery().Event()
    hurried.set()
    orders = scene.orders(f"http://{HOST}:{port}")
    scene.start(shipping.ship, hurried, HOUR_S / real_s, orders=orders)
    scene.append_one()
    scene.ledger.wait_for("alarm")
    scene.ledger.wait_for("memory", len(scene.ledger.noted("memory")) + 1)
    began, before = time.monotonic(), len(scene.ledger.noted("memory")) - 1
    agent = scene.start(appending.for_a_while, spans_sent, real_s, quota_bytes=2 << 30)
    agent.join(real_s * 3 + 120)
    time.sleep(max(0.0, began + real_s - time.monotonic()))
    hurried.clear()
    scene.gate(port=port)
    back = time.monotonic()
    recovery = scene.fresh()
    scene.drain()
    drained = time.monotonic() - back
    spans = scene.verdict()
    (appended,) = scene.ledger.wait_for("appended")
    memory = [note["mb"] for note in scene.ledger.noted("memory")][before:]
    checks = (
        equal("spans", spans.accepted, spans_sent + 2),
        at_most("drained", drained, 900, " s"),
        at_most("memory, shipper", max(memory) - memory[0], 30, " MB"),
        at_most("memory, agent", appended["mb"], 30, " MB"),
    )
    how = "the real hour" if scene.hour_s else f"an hour of the shipper's clock in {real_s} s"
    return Finding(spans, recovery, checks, (f"{how}; the journal's quota is 2 GB",))


def slow(scene: Scene) -> Finding:
    """Row 12: the agent's own side while no answer comes for up to 30 s, against answers that come at once.

    The two take turns, each first as often as the other, so that what else the machine does touches both alike.
    """
    turns, seconds = scene.short_or_full(12, 4), 31.0 if scene.full else 0.5
    gate = scene.gate()
    told, tells = nursery().Pipe()
    agent = scene.start(pacing.paced, tells, per_s=1_000)
    p99: dict[str, list[float]] = {"fast": [], "slow": []}
    # By default it would let the agent write in peace, fast phases and slow ones alike.
    with scene.sidecar(gate.uri, TIERLENS_DELIVERY_DELAY_S="0"):
        _told(told, 1)
        for turn in range(turns):
            for phase in ("fast", "slow") if turn % 2 else ("slow", "fast"):
                late = Late()
                gate.rule = late if phase == "slow" else fine
                p99[phase].append(_p99(_told(told, seconds)))
                gate.rule = fine
                late.over.set()
        recovery = scene.fresh()
        told.send(0)
        agent.join()
        scene.drain()
        spans = scene.verdict()
    fast, slow_ = statistics.median(p99["fast"]), statistics.median(p99["slow"])
    low, high = min(p99["fast"]), max(p99["fast"])
    noise = f"{slow_:.0f} µs / {fast:.0f} µs; each fast turn's own: {low:.0f}..{high:.0f} µs"
    how = f"no answer for {seconds:g} s, {turns} times in turns"
    return Finding(spans, recovery, (at_most("p99 of append, slow / fast", slow_ / fast, 1.1),), (noise, how))


class Late:
    """Takes every request, and answers after 30 s, or when it is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, request: Recorded) -> Reply:
        self.over.wait(30.0)
        return OK


def _told(told: Connection, seconds: float) -> list[float]:
    told.send(seconds)
    took: list[float] = told.recv()
    return took


def _p99(took: Sequence[float]) -> float:
    return sorted(took)[len(took) * 99 // 100]


def kept_out(scene: Scene) -> Finding:
    """Row 17: 401 for ten minutes of the shipper's clock, and then a shipper with a new token."""
    gate = scene.gate(_only_with("new"))
    real_s, hurried = scene.short_or_full(5, 20), nursery().Event()
    hurried.set()
    scene.start(appending.some, scene.short_or_full(1_000, 10_000)).join()
    old = scene.start(shipping.ship, hurried, TEN_MINUTES_S / real_s, "old", orders=scene.orders(gate.uri))
    (began,) = scene.ledger.wait_for("ships")
    time.sleep(real_s)
    stored = scene.backend.count(scene.experiment)
    alarms = [note["at"] - began["at"] for note in scene.ledger.noted("alarm")]
    old.kill()
    with scene.sidecar(gate.uri, MLFLOW_TRACKING_TOKEN="new"):
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    checks = (
        equal("stored without the token", stored, 0),
        at_least("refused with 401", sum(arrival.status == 401 for arrival in gate.arrivals), 1),
        at_least("alarms", len(alarms), 1),
        at_most("alarms in a minute", _most_in_a_minute(alarms), 1),
    )
    return Finding(spans, recovery, checks, (f"ten minutes of the shipper's clock in {real_s} s",))


def _only_with(token: str) -> Rule:
    def rule(request: Recorded) -> Reply:
        return OK if request.headers.get("authorization") == f"Bearer {token}" else Reply(401)

    return rule


def _most_in_a_minute(times: Sequence[float]) -> int:
    return max((sum(at <= other < at + 59.5 for other in times) for at in times), default=0)
