"""Any order of append, rotate, crash, adopt, acknowledge and unlink ends with every accepted span stored."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.journal.spans import EXPERIMENT, START_NS, span
from tests.shipping.harness import BRAND, Scene
from tierlens import keys
from tierlens.errors import DeliveryError, Forbidden, Rejected, TooLarge, Unavailable
from tierlens.journal import Journal
from tierlens.shipping.deadletter import DeadLetters
from tierlens.shipping.shipper import Shipper
from tierlens.spans import Invocation, Routing, RunsMode
from tierlens.testing.sinks import AnswerLost, FlakySink

ANSWERS = {
    "outage": Unavailable("503", 503),
    "lost": AnswerLost(Unavailable("reset")),
    "forbidden": Forbidden("401", 401),
    "rejected": Rejected("400", 400),
    "too large": TooLarge("413", 413),
    "fine": None,
}


class JournalMachine(RuleBasedStateMachine):
    """Three writers, one shipper at a time, and a sink in every mood."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.scene = Scene(self.folder / "journal", letter_first_s=1.0, metrics_patience_s=20.0)
        self.sink = FlakySink(self.scene.sink)
        self.number = 0
        self.finished: set[int] = set()
        self.measured: set[int] = set()
        self.invoked: dict[int, int] = {}
        self.open: dict[int, set[int]] = {}
        self.died: set[int] = set()

    @initialize(delay_s=st.sampled_from([0.0, 5.0]))
    def begin(self, delay_s: float) -> None:
        self.scene.limits = replace(self.scene.limits, delay_s=delay_s)
        self.writers = [self.scene.journal(segment_bytes=1_500) for _ in range(3)]
        self.open = {writer: set() for writer in range(3)}
        self.shipper: Shipper = self.scene.shipper(self.sink)

    @rule(writer=st.integers(0, 2), trace=st.integers(1, 4), root=st.booleans(), metric=st.booleans())
    def append(self, writer: int, trace: int, root: bool, metric: bool) -> None:
        self.number += 1
        self._append(self.writers[writer], self.number, trace, root, metric)

    @rule(writer=st.integers(0, 2), trace=st.integers(1, 4), each=st.booleans())
    def invoke(self, writer: int, trace: int, each: bool) -> None:
        """An agent's span, which has something to say to a run."""
        self.number += 1
        runs: RunsMode = "per_invocation" if each else "per_version"
        routing = Routing(EXPERIMENT, BRAND, invocation=Invocation("b41939fc32d4", runs))
        told = span(self.number, trace=trace, parent=9_999)
        told = told._replace(start_ns=START_NS + self.number, attributes={keys.SPAN_TYPE: "AGENT"})
        self.writers[writer].append(told, routing)
        self.finished.add(self.number)
        self.invoked[self.number] = told.start_ns

    def _append(self, journal: Journal, number: int, trace: int, root: bool, metric: bool) -> None:
        routing = Routing(EXPERIMENT, BRAND, root=root, metrics={"score": float(number)} if metric else {})
        journal.append(span(number, trace=trace, parent=None if root else 9_999, text="x" * 300), routing)
        self.finished.add(number)
        self.measured |= {number} if metric else set()

    @rule(writer=st.integers(0, 2), trace=st.integers(1, 4))
    def begin_span(self, writer: int, trace: int) -> None:
        self.number += 1
        self.writers[writer].append_start(span(self.number, trace=trace, end_ns=0), Routing(EXPERIMENT, BRAND))
        self.open[writer].add(self.number)

    @rule(writer=st.integers(0, 2))
    def end_span(self, writer: int) -> None:
        if self.open[writer]:
            number = min(self.open[writer])
            self.open[writer].remove(number)
            self._append(self.writers[writer], number, 1, root=False, metric=False)

    @rule(writer=st.integers(0, 2), torn=st.sampled_from([b"", b'{"tierlens":{"v":1', b"\0" * 40]))
    def kill_writer(self, writer: int, torn: bytes) -> None:
        """Its descriptors go, and with them its lock; it comes back under another name."""
        journal = self.writers[writer]
        end = journal.end()
        journal.after_fork_in_child()
        self.died |= self.open[writer]
        self.open[writer] = set()
        if torn and end.writer:
            segment = self.scene.directory / f"{end.writer}.{end.segment:06d}.jsonl"
            if segment.exists():
                with segment.open("ab") as file:
                    file.write(torn)

    @rule(mood=st.sampled_from(sorted(ANSWERS)))
    def ship_one(self, mood: str) -> None:
        def surprise(request: object) -> DeliveryError | AnswerLost | None:
            self.sink.rule = lambda request: None
            return ANSWERS[mood]

        self.sink.rule = surprise
        self.shipper.step()
        self.sink.rule = lambda request: None

    @rule(seconds=st.floats(0.01, 30))
    def ship_on(self, seconds: float) -> None:
        self.scene.run(self.shipper, seconds)

    @rule(seconds=st.floats(0.01, 100))
    def wait(self, seconds: float) -> None:
        self.scene.clock.turn(seconds)

    @rule()
    def kill_shipper(self) -> None:
        self.scene.crash(self.shipper)
        self.shipper = self.scene.shipper(self.sink)

    def teardown(self) -> None:
        try:
            if hasattr(self, "shipper"):
                self._verdict()
        finally:
            self.scene.close()
            shutil.rmtree(self.folder)

    def _verdict(self) -> None:
        for writer, journal in enumerate(self.writers):
            journal.close()
            self.died |= self.open[writer]
        self.scene.run(self.shipper, seconds=100)

        letters = {int(line.span, 16): letter.part for _, letter, line in DeadLetters(self.scene.directory).all()}
        assert self.scene.stored() | letters.keys() == self.finished | self.died
        assert {int(span_id, 16) for span_id, _ in self.scene.sink.metrics} == self.measured
        told = [start for starts in self.scene.sink.invocations.values() for start in starts]
        assert {start for number, start in self.invoked.items() if number not in letters} <= set(told)
        assert len(told) == len(set(told) & set(self.invoked.values()))
        for number in self.finished & self.scene.stored():
            assert not self.scene.sink.spans[f"{number:016x}"]["status"], f"{number} was finished, and shown as dead"
        assert sorted(path.name for path in self.scene.directory.glob("*.*")) == []


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
