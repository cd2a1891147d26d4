"""Traces of which MLflow has spans and no root say that they are incomplete; and are put right when it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import pytest

from tests.journal.spans import EXPERIMENT, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tests.shipping.test_audit import ROOT, rooted
from tierlens import keys
from tierlens.errors import Rejected
from tierlens.shipping.deadletter import DeadLetters
from tierlens.sinks.base import Batch
from tierlens.sinks.witness import Incomplete, Request, Told
from tierlens.spans import Routing, Span
from tierlens.testing.sinks import FlakySink, KnowingSink
from tierlens.upkeep.postbox import put_back

HOUR_S = 3_600.0


@pytest.fixture
def sink(scene: Scene) -> KnowingSink:
    scene.sink = KnowingSink()
    return scene.sink


def refusing(sink: KnowingSink, *numbers: int) -> FlakySink:
    """A sink that takes no batch with one of these spans; it can be asked all the same."""
    poison = {b'"spanId":"%016x"' % number for number in numbers}

    def rule(said: object) -> Rejected | None:
        hit = isinstance(said, Batch) and any(one in payload for payload in said.spans for one in poison)
        return Rejected("a poisonous span", 400) if hit else None

    return AskedFlakySink(sink, rule=rule)


class AskedFlakySink(FlakySink):
    """One that can be asked like the one behind it; methods of its own, as a protocol wants them since Python 3.12."""

    inner: KnowingSink

    def count(self, request: Request) -> int:
        return self.inner.count(request)

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return self.inner.held(trace_ids)

    def told(self, trace_id: str) -> Told | None:
        return self.inner.told(trace_id)

    def incomplete(self, limit: int) -> Sequence[Incomplete]:
        return self.inner.incomplete(limit)

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        self.inner.tag(trace_id, tags)


def root_of(trace: int, started: int, **tags: str) -> Span:
    made = span(trace * 1_000, trace=trace)
    said = {keys.TRACE_TAG + key: text for key, text in tags.items()}
    return made._replace(attributes={keys.SPANS_STARTED: started, **said})


def complete(sink: KnowingSink, trace: int) -> bool | None:
    told = sink.told(f"{trace:032x}")
    return told.complete if told else None


def test_a_trace_whose_root_was_refused_is_tagged_once_its_writer_has_ended(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=60)
    assert complete(sink, 1) is None
    journal.close()

    scene.run(shipper, seconds=5)

    assert complete(sink, 1) is False
    assert sink.tags[f"{1:032x}"][keys.SPANS] == "2 of ?"
    assert shipper.settled


def test_a_trace_that_has_not_grown_for_an_hour_is_tagged_with_whose_it_is(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    start = span(1_000, trace=1, end_ns=0)._replace(attributes={keys.TRACE_TAG + "user": "anna"})
    journal.append_start(start, ROOT)
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=HOUR_S / 2)
    journal.append(span(1_003, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND))
    scene.run(shipper, seconds=HOUR_S * 0.9)
    assert complete(sink, 1) is None

    scene.run(shipper, seconds=HOUR_S * 0.2)

    assert complete(sink, 1) is False
    assert sink.tags[f"{1:032x}"]["user"] == "anna"


def test_a_root_that_comes_after_all_puts_it_right(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=2 * HOUR_S)
    assert complete(sink, 1) is False

    journal.append(root_of(1, 3), ROOT)
    scene.run(shipper, seconds=5)

    assert complete(sink, 1) is True


def test_a_trace_is_asked_about_once_not_with_every_look(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=60)
    asked = sink.questions

    scene.run(shipper, seconds=3 * HOUR_S)

    assert sink.questions <= asked + 2


def test_a_part_of_another_processs_trace_is_not_spoken_for(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    journal.append(span(1_001, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND))
    journal.append(span(1_000, trace=1, parent=7), ROOT)
    journal.close()

    scene.run(shipper, seconds=2 * HOUR_S)

    assert complete(sink, 1) is None


@pytest.mark.parametrize("again", ["by the same", "by the next"])
def test_a_root_in_the_dead_letters_leaves_its_trace_tagged(scene: Scene, sink: KnowingSink, again: str) -> None:
    journal, shipper = scene.journal(), scene.shipper(refusing(sink, 1_000))
    append_trace(journal, 1, root=False)
    journal.append(root_of(1, 3), ROOT)
    scene.run(shipper, seconds=40)
    if again == "by the next":
        scene.crash(shipper)
        shipper = scene.shipper(refusing(sink, 1_000))
    journal.close()

    scene.run(shipper, seconds=60)

    assert complete(sink, 1) is False


@pytest.mark.parametrize("how", ["put back", "tried again"])
def test_dead_letters_that_a_later_shipper_delivers_complete_their_trace(
    scene: Scene, sink: KnowingSink, how: str
) -> None:
    journal, first = scene.journal(), scene.shipper(refusing(sink, 1_001, 1_002))
    rooted(journal, 1, started=3)
    scene.run(first, seconds=50)
    first.close()
    assert complete(sink, 1) is False
    letters = DeadLetters(scene.directory)
    names = letters.names()
    assert len(names) == 2
    if how == "put back":
        put_back(scene.directory, (letters.read(name)[1] for name in names))
        for name in names:
            letters.remove(name)

    scene.run(scene.shipper(), seconds=60)

    assert complete(sink, 1) is True
    assert sink.tags[f"{1:032x}"][keys.SPANS] == "3 of 3"


def test_a_trace_of_which_one_dead_letter_is_left_stays_incomplete(scene: Scene, sink: KnowingSink) -> None:
    journal, first = scene.journal(), scene.shipper(refusing(sink, 1_001, 1_002))
    rooted(journal, 1, started=3)
    scene.run(first, seconds=50)
    first.close()

    scene.run(scene.shipper(refusing(sink, 1_002)), seconds=60)

    assert complete(sink, 1) is False


def test_a_trace_that_was_deleted_meanwhile_is_let_be(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=60)
    sink.spans.clear()

    scene.run(shipper, seconds=2 * HOUR_S)

    assert sink.tags == {}


def test_a_shipper_at_its_end_speaks_for_them_too(scene: Scene, sink: KnowingSink) -> None:
    journal = scene.journal()
    append_trace(journal, 1, root=False)
    journal.close()
    ship_once(scene)

    assert complete(sink, 1) is False


def ship_once(scene: Scene) -> None:
    from tierlens.shipping.hosts.run import run_once

    assert run_once(scene.directory, scene.sink, limits=scene.limits, clock=scene.clock).drained
