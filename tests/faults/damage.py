"""Rows 20, 21 and 22: damaged files, any order of events, and a crash at every system call."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.rows import Finding, at_least, equal
from tests.faults.scene import ROOT, Scene
from tests.faults.workers import crashing
from tests.shipping.test_state_machine import JournalMachine
from tierlens.shipping.deadletter import DeadLetters

_DAMAGES: Final = 3
_COUNTS: Final = re.compile(r"(\d+) passing(?: examples)?, (\d+) failing")


def files(scene: Scene) -> Finding:
    """Row 20: the reader's own properties, for more cases than the tests take time for."""
    cases = scene.short_or_full(1_500, 10_000)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    command += ["--hypothesis-show-statistics", "tests/journal/test_reader.py", "-k", "cost_only or every_whole_line"]
    environment = scene.environment() | {"READER_CASES": str(-(-cases // _DAMAGES))}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    counts = [(int(passed), int(failed)) for passed, failed in _COUNTS.findall(ran.stdout)]
    checks = (
        at_least("cases with every undamaged line recovered", sum(passed for passed, _ in counts), cases),
        equal("failed", sum(failed for _, failed in counts), 0),
        equal("pytest's exit code", ran.returncode, 0),
    )
    return Finding(None, None, checks, ("bit flips, zero fill, truncation",))


def any_order(scene: Scene) -> Finding:
    """Row 21: the state machine of journal and shipper."""
    wanted, seen = scene.short_or_full(60, 5_000), Seen()
    chosen = settings(
        max_examples=wanted,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    counterexample = ""
    try:
        run_state_machine_as_test(partial(Counted, seen), settings=chosen)
    except AssertionError as error:
        counterexample = "\n".join([str(error), *getattr(error, "__notes__", ())])
    checks = (at_least("runs", seen.runs, wanted), equal("counterexamples", counterexample or 0, 0))
    return Finding(
        None,
        None,
        checks,
        (f"{seen.accepted:,} spans accepted, {seen.stored:,} stored, the others set aside with their reason",),
    )


class Seen:
    """What all runs came to."""

    def __init__(self) -> None:
        self.runs = self.accepted = self.stored = 0


class Counted(JournalMachine):
    """The machine of the shipper's tests, counted."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def teardown(self) -> None:
        super().teardown()
        self._seen.runs += 1
        self._seen.accepted += len(self.finished)
        self._seen.stored += len(self.finished & self.scene.stored())


def every_system_call(scene: Scene) -> Finding:
    """Row 22: one process that writes and ships, dead before every call that changes the disk."""
    steps = _last_step(scene)
    crashes = [(step, torn) for step in range(1, steps + 1) for torn in (False, True)]
    # An odd stride meets torn and untorn calls alike.
    crashes = crashes if scene.full else crashes[::9]
    with ThreadPoolExecutor(2) as slots:
        list(slots.map(partial(_crash_and_recover, scene), crashes))
    recovered = scene.ledger.noted("recovered")
    with scene.sidecar():
        recovery = scene.fresh()
        spans = scene.verdict()
    crashed = sum(note["code"] == -9 for note in scene.ledger.noted("crashed"))
    kept = sum(_is_set_aside(scene, note) for note in scene.ledger.noted("poison"))
    checks = (
        equal("recovered", sum(note["drained"] for note in recovered), len(crashes)),
        equal("files left but dead letters", sum(note["left"] for note in recovered), 0),
        equal("poison set aside", kept, len(scene.ledger.noted("poison"))),
    )
    return Finding(spans, recovery, checks, (f"{crashed} crashes, over {steps} calls that change the disk",))


def _journal(scene: Scene, name: str) -> Path:
    return scene.folder / f"journal-{name}"


def _last_step(scene: Scene) -> int:
    """How many calls change the disk where nothing goes wrong."""
    code = scene.start(crashing.write_and_ship, 0, False, orders=scene.orders(journal=_journal(scene, "whole"))).join()
    if code:
        raise RuntimeError(f"the scenario itself ended with {code}")
    (said,) = scene.ledger.wait_for("steps")
    return int(said["steps"])


def _crash_and_recover(scene: Scene, crash: tuple[int, bool]) -> None:
    """Crash at a step, with every other one crash again while recovering, and recover."""
    step, torn = crash
    orders = scene.orders(journal=_journal(scene, f"{step}-{torn:d}"))
    code = scene.start(crashing.write_and_ship, step, torn, orders=orders).join()
    scene.ledger.notes.append({"note": "crashed", "code": code})
    if step % 2:
        scene.start(crashing.recover, 1 + step % 17, orders=orders).join()
    scene.start(crashing.recover, 0, orders=orders).join()


def _is_set_aside(scene: Scene, note: dict[str, str]) -> bool:
    return any(line.span == note["span"] for _, _, line in DeadLetters(Path(note["journal"])).all())
