"""Row 25: hours of everything at once."""

from __future__ import annotations

import random
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.faults.answers import LosesAnswers
from tests.faults.gate import Gate, fine, no_answer
from tests.faults.outages import Late
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import soaking
from tierlens.testing.http_stub import Reply

THREADS: Final = 8
PER_S: Final = 200
BARE_S: Final = 10


def soak(scene: Scene) -> Finding:
    """Eight threads record while server and shipper suffer one fault after the other."""
    seconds = scene.short_or_full(20, 7_200)
    gate, stop = scene.gate(), threading.Event()
    with Faults(scene, gate) as faults:
        agent = scene.start(soaking.soak, THREADS, PER_S, seconds)
        trouble = threading.Thread(target=faults.go_on_until, args=(stop,))
        trouble.start()
        agent.join(seconds + 120)
        stop.set()
        trouble.join()
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    # Once nothing else is at work: it is to be the least that the machine takes for so many writes at this pace.
    scene.start(soaking.bare, THREADS, PER_S, BARE_S).join(BARE_S + 60)
    (soaked,), (bare,) = scene.ledger.wait_for("soaked"), scene.ledger.wait_for("bare")
    memory = scene.ledger.noted("memory")
    checks = (
        at_most("p50 of encode + append", soaked["every"]["p50_us"], 15, " µs"),
        at_most("p99", soaked["every"]["p99_us"], 50, " µs"),
        at_most("memory's growth, last quarter over second", growth_mb(memory), 2, " MB"),
        at_least("spans", spans.accepted, int(PER_S * seconds * 0.9)),
        equal("refused", soaked["refused"], 0),
    )
    how = f"{seconds} s, {PER_S} spans/s, {faults.count} faults"
    # The first append after a rest finds cold caches: that is the start of a root, and counts as any other.
    each = {"spans alone": soaked["spans"], "roots' starts": soaked["starts"], "bare write, same pace": bare}
    beside = "; ".join(f"{what}: {_figures(took)}" for what, took in each.items())
    return Finding(spans, recovery, checks, (how, beside))


def _figures(took: Mapping[str, float]) -> str:
    return f"p50 {took['p50_us']:.0f}, p99 {took['p99_us']:.0f} µs"


def growth_mb(memory: Sequence[dict[str, Any]]) -> float:
    """Median of the last quarter less that of the second: the first is warming up."""
    quarter = max(1, len(memory) // 4)
    second, last = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
    return statistics.median(note["mb"] for note in last) - statistics.median(note["mb"] for note in second)


class Faults:
    """One after the other, at random: answers refused, lost, late or missing; the shipper killed or stopped.

    Attributes:
        count: faults so far.
    """

    def __init__(self, scene: Scene, gate: Gate) -> None:
        self._scene, self._gate, self._chance = scene, gate, random.Random(25)
        self.count = 0

    def __enter__(self) -> Faults:
        self._sidecar = self._begun()
        return self

    def __exit__(self, *error: object) -> None:
        self._sidecar.kill()
        self._sidecar.wait()

    def go_on_until(self, stop: threading.Event) -> None:
        faults: Sequence[Callable[[], None]] = (
            lambda: self._with_rule(lambda request: Reply(503)),
            lambda: self._with_rule(lambda request: Reply(429, {"Retry-After": "1"})),
            lambda: self._with_rule(no_answer),
            lambda: self._with_rule(LosesAnswers()),
            self._answer_late,
            self._kill_the_shipper,
            self._stop_the_shipper,
        )
        while not stop.wait(self._chance.uniform(0.5, 1.5)):
            self._chance.choice(faults)()
            self.count += 1

    def _begun(self) -> subprocess.Popen[bytes]:
        return self._scene.begin_sidecar(self._gate.uri)

    def _with_rule(self, rule: Any) -> None:
        self._gate.rule = rule
        time.sleep(self._chance.uniform(0.2, 2.0))
        self._gate.rule = fine

    def _answer_late(self) -> None:
        late = Late()
        self._with_rule(late)
        late.over.set()

    def _kill_the_shipper(self) -> None:
        self._sidecar.kill()
        self._sidecar.wait()
        self._sidecar = self._begun()

    def _stop_the_shipper(self) -> None:
        self._sidecar.send_signal(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.2, 2.0))
        self._sidecar.send_signal(signal.SIGCONT)
