"""What was erased is not sent, whoever brings it: the shipper that has read it, a journal put back, a dead letter."""

from __future__ import annotations

import shutil

from tests.journal.spans import START_NS, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tests.shipping.test_runs import Runs, append
from tierlens.errors import Rejected
from tierlens.journal.cursor import read_cursor
from tierlens.journal.forgotten import Subject, remember
from tierlens.journal.segment import cursor_path
from tierlens.shipping.deadletter import DeadLetters
from tierlens.spans import Routing
from tierlens.testing.sinks import FlakySink, KnowingSink
from tierlens.upkeep.verify import compare


def forget(scene: Scene, *traces: int) -> None:
    remember(scene.directory, [Subject("trace", f"{trace:032x}") for trace in traces])


def test_what_was_erased_while_it_waited_is_not_sent_and_counted_as_erased(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1, root=False)
    kept = append_trace(journal, 2)
    shipper = scene.shipper()
    scene.run(shipper)
    forget(scene, 1)

    scene.run(shipper, 5)

    assert scene.stored() == set(kept)
    assert shipper.drained
    cursor = read_cursor(cursor_path(scene.directory, journal.writer))
    assert cursor is not None
    assert cursor.refused == {"erased": 2}


def test_a_journal_put_back_from_a_copy_brings_nothing_back(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    kept = append_trace(journal, 2)
    shutil.copytree(scene.directory, scene.directory.with_name("copy"))
    forget(scene, 1)
    for path in scene.directory.with_name("copy").glob("*.jsonl"):
        shutil.copy(path, scene.directory)

    sink = KnowingSink()
    shipper = scene.shipper(sink)
    scene.run(shipper, 60)

    assert set(sink.spans) == {f"{number:016x}" for number in kept}
    assert shipper.settled
    assert shipper.missing == 0


def test_what_the_sink_had_before_it_was_deleted_there_is_not_sent_again(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    sink = KnowingSink()
    shipper = scene.shipper(sink)
    scene.run(shipper)
    assert sink.spans
    forget(scene, 1)
    sink.spans.clear()

    scene.run(shipper, 60)

    assert sink.spans == {}
    assert shipper.settled
    assert not DeadLetters(scene.directory).names()


def test_a_user_erased_later_than_a_span_began_is_not_sent_and_one_who_comes_again_is(scene: Scene) -> None:
    journal = scene.journal()
    remember(scene.directory, [Subject("user", "anna")], now_ns=START_NS + 1)
    for number, began in ((1, START_NS), (2, START_NS + 2)):
        made = span(number, trace=number)._replace(start_ns=began, attributes={"user.id": "anna"})
        journal.append(made, Routing("app/Kisqali", BRAND, root=True))
    # Its root is known for hers; what belongs to it is not sent either.
    journal.append(span(11, trace=1, parent=1), Routing("app/Kisqali", BRAND))

    scene.run(scene.shipper(), 60)

    assert scene.stored() == {2}


def test_what_a_span_says_to_runs_is_not_sent_once_it_was_erased(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1, 2)
    shipper = scene.shipper(sink)
    scene.run(shipper, 1)
    assert sink.calls == []
    remember(scene.directory, [Subject("trace", ids[0])])

    scene.run(shipper, 10)

    assert sink.calls == [ids[1:]]
    assert shipper.drained


def test_a_dead_letter_of_what_was_erased_is_taken_away(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    refusing = FlakySink(scene.sink, rule=lambda request: Rejected("no", 422))
    scene.run(scene.shipper(refusing), 60)
    assert DeadLetters(scene.directory).names()
    scene.shippers.pop().close()
    forget(scene, 1)

    scene.run(scene.shipper(), 60)

    assert scene.stored() == set()
    assert not DeadLetters(scene.directory).names()


def test_what_was_erased_is_not_missed_when_journal_and_sink_are_compared(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    kept = append_trace(journal, 2)
    scene.run(scene.shipper())
    scene.shippers.pop().close()
    forget(scene, 1)

    missing = compare(scene.directory, KnowingSink()).missing

    assert {int(line.span, 16) for line in missing} == set(kept)
