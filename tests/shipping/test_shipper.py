"""What the journal holds arrives, whatever the sink answers, once for every row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.journal.spans import EXPERIMENT, filled, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tierlens.errors import DeliveryError, Forbidden, Rejected, TooLarge, Unavailable
from tierlens.journal.segment import writers
from tierlens.shipping.deadletter import DeadLetters
from tierlens.sinks.base import Batch, Finish
from tierlens.spans import Artifact, Routing, Span
from tierlens.testing.sinks import AnswerLost, FlakySink


def test_whole_traces_arrive_in_one_request(scene: Scene) -> None:
    journal = scene.journal()
    expected = {number for trace in range(1, 6) for number in append_trace(journal, trace, children=3)}

    scene.run(scene.shipper())

    assert scene.stored() == expected
    (batch,) = scene.sink.batches
    assert (batch.experiment, len(batch.spans)) == (EXPERIMENT, 20)
    assert orjson.loads(batch.resource)["attributes"][0]["value"]["stringValue"] == "app"


def test_a_request_holds_a_hundred_traces_at_most(scene: Scene) -> None:
    journal = scene.journal()
    for trace in range(1, 151):
        append_trace(journal, trace)

    scene.run(scene.shipper())

    assert [len(batch.spans) // 3 for batch in scene.sink.batches] == [20, 100, 30]


@pytest.mark.parametrize(("a_trace_s", "held"), [(0.001, 100), (0.025, 40), (0.5, 10)])
def test_a_request_holds_what_is_answered_within_a_second(scene: Scene, a_trace_s: float, held: int) -> None:
    journal = scene.journal()
    for trace in range(1, 151):
        append_trace(journal, trace)

    def taking_its_time(request: Any) -> None:
        scene.clock.turn(a_trace_s * len(request.spans) / 3)

    scene.run(scene.shipper(FlakySink(scene.sink, rule=taking_its_time)), seconds=120)

    first, then, *_ = [len(batch.spans) // 3 for batch in scene.sink.batches]
    assert (first, then) == (20, held)
    assert len(scene.stored()) == 450


def test_a_request_has_a_size(tmp_path: Path) -> None:
    scene = Scene(tmp_path, bytes_per_request=50_000)
    journal = scene.journal()
    append_trace(journal, 1, children=20, text="x" * 8_000)
    append_trace(journal, 2, children=1, text="x" * 8_000)

    scene.run(scene.shipper())

    assert len(scene.stored()) == 23
    assert all(sum(map(len, batch.spans)) <= 50_000 for batch in scene.sink.batches)
    scene.close()


def test_traces_of_two_brands_never_share_a_request(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1, experiment="app/Kisqali")
    append_trace(journal, 2, experiment="app/Fabhalta")

    scene.run(scene.shipper())

    assert sorted(batch.experiment for batch in scene.sink.batches) == ["app/Fabhalta", "app/Kisqali"]
    assert scene.sink.experiments == {f"{1:032x}": "app/Kisqali", f"{2:032x}": "app/Fabhalta"}


def test_a_dead_letters_metrics_survive_the_shipper_that_delivered_its_span(scene: Scene) -> None:
    (number,) = append_trace(scene.journal(), 1, children=0, metrics={"score": 0.5})
    refusing = FlakySink(scene.sink, rule=lambda request: Rejected("400", 400))
    scene.run(scene.shipper(refusing))
    # Takes the span, and then nothing until its shipper is gone.
    spans_only = FlakySink(scene.sink, [None], rule=lambda request: Unavailable("503", 503))
    first = scene.shipper(spans_only)
    scene.run(first, seconds=100)
    scene.crash(first)

    scene.run(scene.shipper(), seconds=100)

    assert scene.stored() == {number}
    assert scene.sink.metrics == {(f"{number:016x}", "score"): 0.5}
    assert DeadLetters(scene.directory).names() == []


def test_the_metrics_of_a_span_arrive_however_often_it_was_too_large(scene: Scene) -> None:
    (number,) = append_trace(scene.journal(), 1, children=0, metrics={"score": 0.5})
    sink = FlakySink(scene.sink, [TooLarge("413", 413)] * 3)
    scene.run(scene.shipper(sink), seconds=200)

    assert scene.stored() == {number}
    assert scene.sink.metrics == {(f"{number:016x}", "score"): 0.5}


def test_a_running_trace_shows_before_its_root_has_ended(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1, root=False)
    shipper = scene.shipper()

    scene.run(shipper)
    assert not scene.sink.spans
    scene.run(shipper, seconds=1.6)

    assert scene.stored() == {1_001, 1_002}


def test_what_is_acknowledged_is_not_sent_again(scene: Scene) -> None:
    journal = scene.journal(segment_bytes=2_000)
    append_trace(journal, 1, children=10)
    first = scene.shipper()
    scene.run(first)
    scene.crash(first)
    append_trace(journal, 2)

    scene.run(scene.shipper())

    assert [len(batch.spans) for batch in scene.sink.batches] == [11, 3]


def test_segments_go_once_their_lines_are_acknowledged(scene: Scene) -> None:
    journal = scene.journal(segment_bytes=2_000)
    for trace in range(1, 20):
        append_trace(journal, trace)
    (before,) = writers(scene.directory)

    scene.run(scene.shipper())

    (after,) = writers(scene.directory)
    assert len(before.segments) > 5
    assert after.segments == before.segments[-1:]


def test_an_outage_is_waited_out_and_nothing_is_sent_meanwhile(scene: Scene) -> None:
    journal = scene.journal()
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down"))
    shipper = scene.shipper(sink)
    append_trace(journal, 1)

    scene.run(shipper, seconds=3600)
    requests = len(sink.requests)
    sink.rule = lambda request: None
    scene.run(shipper, seconds=6)

    assert 3600 / 5 <= requests <= 3600 / 2.5 + 20
    assert scene.stored() == {1_000, 1_001, 1_002}


def test_an_outage_is_waited_for_at_rest(scene: Scene) -> None:
    journal = scene.journal()
    for trace in range(1, 250):
        append_trace(journal, trace)
        append_trace(journal, 1_000 + trace, root=False)
    shipper = scene.shipper(FlakySink(scene.sink, rule=lambda request: Unavailable("down")))
    scene.run(shipper, seconds=10)

    before, steps = scene.clock.monotonic(), 0
    while scene.clock.monotonic() - before < 60:
        scene.clock.turn(max(shipper.step(), 0.001))
        steps += 1

    assert steps < 400


@pytest.mark.parametrize("wish", [2.0, 30.0])
def test_the_servers_wish_is_honoured(scene: Scene, wish: float) -> None:
    append_trace(scene.journal(), 1)
    sink = FlakySink(scene.sink, [Unavailable("slow down", 429, retry_after_s=wish)])
    shipper = scene.shipper(sink)

    scene.run(shipper)
    scene.run(shipper, seconds=wish - 0.01)
    assert len(sink.requests) == 1
    scene.run(shipper, seconds=wish * 0.2 + 0.02)

    assert len(sink.requests) == 2
    assert len(scene.stored()) == 3


def test_a_lost_answer_doubles_no_row(scene: Scene) -> None:
    append_trace(scene.journal(), 1, metrics={"confidence": 0.8})
    sink = FlakySink(scene.sink, [AnswerLost(Unavailable("connection reset"))])

    scene.run(scene.shipper(sink), seconds=10)

    assert len(sink.requests) == 2
    assert scene.stored() == {1_000, 1_001, 1_002}
    assert scene.sink.metrics == {(f"{1_000:016x}", "confidence"): 0.8}


def test_refused_credentials_pause_the_experiment_and_alarm_once_a_minute(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    journal = scene.journal()
    append_trace(journal, 1, experiment="closed")
    append_trace(journal, 2, experiment="open")
    rule = {"closed": Forbidden("not yours", 403)}
    sink = FlakySink(scene.sink, rule=lambda request: rule.get(request.experiment))
    shipper = scene.shipper(sink)
    with caplog.at_level(logging.WARNING, "tierlens.shipping"):
        scene.run(shipper, seconds=600)

    assert scene.stored() == {2_000, 2_001, 2_002}
    alarms = [record for record in caplog.records if "closed" in record.message]
    assert 9 <= len(alarms) <= 11
    rule.clear()
    scene.run(shipper, seconds=10)
    assert len(scene.stored()) == 6


def over(size: int) -> DeliveryError | None:
    return TooLarge("over the limit", 413) if size > 20_000 else None


def test_too_large_a_request_is_split_and_too_large_a_span_truncated_and_kept_whole(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1, children=30, text="x" * 2_000)
    journal.append(filled(5, 60_000), Routing(EXPERIMENT, BRAND, root=True))
    sink = FlakySink(
        scene.sink, rule=lambda request: over(sum(map(len, request.spans))) if isinstance(request, Batch) else None
    )

    scene.run(scene.shipper(sink), seconds=10)

    assert len(scene.stored()) == 32
    cut = orjson.loads(scene.sink.attributes(f"{5:016x}")["mlflow.spanInputs"])
    assert (cut["truncated"], cut["bytes"]) == (True, 60_065)
    ((_, letter, line),) = DeadLetters(scene.directory).all()
    assert (letter.reason, letter.final) == ("too_large", True)
    assert len(line.payload) > 60_000


def test_a_size_that_was_refused_is_not_tried_again(scene: Scene) -> None:
    journal = scene.journal()
    for trace in range(1, 151):
        append_trace(journal, trace, text="x" * 2_000)
    limit = 350_000
    sink = FlakySink(
        scene.sink,
        rule=lambda request: (
            TooLarge("over the limit", 413)
            if isinstance(request, Batch) and sum(map(len, request.spans)) > limit
            else None
        ),
    )

    scene.run(scene.shipper(sink))

    sizes = [sum(map(len, request.spans)) for request in sink.requests if isinstance(request, Batch)]
    assert len(scene.stored()) == 450
    assert sum(size > limit for size in sizes) <= 2


def rejecting(*poison: int) -> Callable[[Batch | Finish], DeliveryError | None]:
    marks = [f'"spanId":"{number:016x}"'.encode() for number in poison]

    def rule(request: Batch | Finish) -> DeliveryError | None:
        if isinstance(request, Batch) and any(mark in payload for mark in marks for payload in request.spans):
            return Rejected("a span in it is bad", 400)
        return None

    return rule


def test_poison_is_set_aside_alone_and_at_once(scene: Scene) -> None:
    journal = scene.journal()
    expected = {number for trace in range(1, 21) for number in append_trace(journal, trace, children=9)}
    sink = FlakySink(scene.sink, rule=rejecting(7_003, 12_000))

    scene.run(scene.shipper(sink))

    assert scene.stored() == expected - {7_003, 12_000}
    letters = {int(line.span, 16): letter for _, letter, line in DeadLetters(scene.directory).all()}
    assert set(letters) == {7_003, 12_000}
    assert {(letter.reason, letter.status, letter.final) for letter in letters.values()} == {("rejected", 400, False)}
    assert len(sink.requests) < 40


def test_a_dead_letter_is_tried_again_and_taken_once_the_cause_is_gone(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    sink = FlakySink(scene.sink, rule=rejecting(1_001))
    shipper = scene.shipper(sink)
    scene.run(shipper, seconds=30)
    assert len(DeadLetters(scene.directory).names()) == 1

    sink.rule = lambda request: None
    scene.run(shipper, seconds=120)

    assert scene.stored() == {1_000, 1_001, 1_002}
    assert DeadLetters(scene.directory).names() == []


def test_a_dead_letter_is_given_up_after_its_tries_and_hours_and_still_kept(tmp_path: Path) -> None:
    scene = Scene(tmp_path, letter_tries=4, letter_hours=2.0, look_s=60)
    append_trace(scene.journal(), 1)
    sink = FlakySink(scene.sink, rule=rejecting(1_001))
    shipper = scene.shipper(sink)

    scene.run(shipper, seconds=1.9 * 3600)
    ((_, letter, _),) = DeadLetters(scene.directory).all()
    assert not letter.final
    scene.run(shipper, seconds=3600)

    ((_, letter, _),) = DeadLetters(scene.directory).all()
    assert letter.final
    requests = len(sink.requests)
    scene.run(shipper, seconds=24 * 3600)
    assert len(sink.requests) == requests
    scene.close()


def test_dead_letters_outlive_the_shipper(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    first = scene.shipper(FlakySink(scene.sink, rule=rejecting(1_001)))
    scene.run(first)
    scene.crash(first)

    scene.run(scene.shipper())

    assert scene.stored() == {1_000, 1_001, 1_002}


def test_a_trace_that_breaks_the_server_is_isolated_while_others_pass(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    append_trace(journal, 2)
    archived = f"{2:032x}".encode()
    sink = FlakySink(
        scene.sink,
        rule=lambda request: (
            Unavailable("internal error", 500)
            if isinstance(request, Batch) and any(archived in payload for payload in request.spans)
            else None
        ),
    )
    shipper = scene.shipper(sink)
    for trace in range(3, 30):
        scene.run(shipper, seconds=1)
        append_trace(journal, trace)
    scene.run(shipper, seconds=10)

    assert {number // 1_000 for number in scene.stored()} == set(range(1, 30)) - {2}
    assert {letter.reason for _, letter, _ in DeadLetters(scene.directory).all()} == {"unavailable"}


def test_a_sink_that_trips_over_a_span_costs_only_that_span(scene: Scene) -> None:
    class Tripping(FlakySink):
        def send(self, batch: Batch) -> None:
            if any(b'"spanId":"%016x"' % 1_001 in payload for payload in batch.spans):
                raise KeyError("surprise")
            super().send(batch)

    append_trace(scene.journal(), 1)

    scene.run(scene.shipper(Tripping(scene.sink)))

    assert scene.stored() == {1_000, 1_002}
    assert len(DeadLetters(scene.directory).names()) == 1


def test_metrics_go_with_their_traces_root(scene: Scene) -> None:
    append_trace(scene.journal(), 1, metrics={"confidence": 0.83})

    scene.run(scene.shipper())

    (batch,) = scene.sink.batches
    (finish,) = batch.finishes
    assert finish.root["name"] == "span 1000"
    (finding,) = finish.findings
    assert (finding.name, finding.value, finding.span_id) == ("confidence", 0.83, f"{1_000:016x}")


def child_with_metric(number: int, trace: int) -> tuple[Span, Routing]:
    return span(number, trace=trace, parent=trace * 1_000), Routing(EXPERIMENT, BRAND, metrics={"score": number})


def test_metrics_of_a_span_sent_early_wait_for_the_root(scene: Scene) -> None:
    journal = scene.journal()
    journal.append(*child_with_metric(1_007, 1))
    shipper = scene.shipper()
    scene.run(shipper, seconds=60)
    assert scene.stored() == {1_007}
    assert not scene.sink.metrics

    append_trace(journal, 1)
    scene.run(shipper)

    assert scene.sink.metrics == {(f"{1_007:016x}", "score"): 1_007}


def test_metrics_of_two_processes_shares_of_a_trace_arrive_from_one_request(scene: Scene) -> None:
    ours, theirs = scene.journal(), scene.journal()
    sink = FlakySink(scene.sink, [Forbidden("401", 401)])
    append_trace(ours, 9)
    shipper = scene.shipper(sink)
    scene.run(shipper)
    append_trace(ours, 1, children=0, metrics={"gap": 0.5})
    theirs.append(span(1_001, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND, metrics={"gap": 0.25}))

    scene.run(shipper, seconds=20)

    assert scene.sink.metrics == {(f"{1_000:016x}", "gap"): 0.5, (f"{1_001:016x}", "gap"): 0.25}


def test_metrics_that_wait_survive_a_crash_of_the_shipper(scene: Scene) -> None:
    journal = scene.journal(segment_bytes=1_500)
    journal.append(*child_with_metric(1_007, 1))
    first = scene.shipper()
    scene.run(first, seconds=60)
    for trace in range(2, 30):
        append_trace(journal, trace)
    scene.run(first, seconds=5)
    scene.crash(first)

    append_trace(journal, 1)
    scene.run(scene.shipper())

    assert scene.sink.metrics == {(f"{1_007:016x}", "score"): 1_007}
    assert len(writers(scene.directory)[0].segments) <= 2


def test_metrics_after_the_root_are_sent_on_their_own(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    shipper = scene.shipper()
    scene.run(shipper)

    journal.append(*child_with_metric(1_007, 1))
    scene.run(shipper, seconds=5)

    ((finish,),) = scene.sink.finishes.values()
    assert finish.root["parentSpanId"] == f"{1_000:016x}"
    assert scene.sink.metrics == {(f"{1_007:016x}", "score"): 1_007}


def test_metrics_whose_root_never_comes_are_sent_in_the_end(scene: Scene) -> None:
    journal = scene.journal()
    journal.append(*child_with_metric(1_007, 1))

    scene.run(scene.shipper(), seconds=700)

    assert scene.sink.metrics == {(f"{1_007:016x}", "score"): 1_007}


def test_refused_metrics_do_not_keep_their_spans_back(scene: Scene) -> None:
    append_trace(scene.journal(), 1, metrics={"confidence": 0.83})
    sink = FlakySink(
        scene.sink,
        rule=lambda request: (
            Rejected("no such assessment", 400) if isinstance(request, Finish) or request.finishes else None
        ),
    )
    shipper = scene.shipper(sink)
    scene.run(shipper, seconds=5)

    assert scene.stored() == {1_000, 1_001, 1_002}
    ((_, letter, _),) = DeadLetters(scene.directory).all()
    assert letter.part == "metrics"
    sink.rule = lambda request: None
    scene.run(shipper, seconds=120)
    assert scene.sink.metrics == {(f"{1_000:016x}", "confidence"): 0.83}
    assert not DeadLetters(scene.directory).names()


def test_artifacts_are_handed_over_by_path_and_rest_before_they_go(scene: Scene) -> None:
    journal = scene.journal()
    sha256 = journal.store_blob(b"figure")
    artifact = Artifact("uplift.png", sha256, 6, "image/png")
    journal.append(span(1_000, trace=1), Routing(EXPERIMENT, BRAND, root=True, artifacts=(artifact,)))
    shipper = scene.shipper()
    scene.run(shipper)

    ((finish,),) = scene.sink.finishes.values()
    (attached,) = finish.attached
    assert Path(attached.path).read_bytes() == b"figure"
    scene.run(shipper, seconds=3_500)
    assert Path(attached.path).exists()
    scene.run(shipper, seconds=200)
    assert not Path(attached.path).exists()


def test_content_that_is_stored_again_is_not_swept_away(scene: Scene) -> None:
    journal = scene.journal()
    sha256 = journal.store_blob(b"figure")
    routing = Routing(EXPERIMENT, BRAND, root=True, artifacts=(Artifact("a", sha256, 6, "image/png"),))
    journal.append(span(1_000, trace=1), routing)
    shipper = scene.shipper()
    scene.run(shipper, seconds=3_000)
    journal.store_blob(b"figure")
    scene.run(shipper, seconds=3_000)

    journal.append(span(2_000, trace=2), routing)
    scene.run(shipper)

    assert [len(finish.attached) for (finish,) in scene.sink.finishes.values()] == [1, 1]


def test_a_missing_artifact_keeps_nothing_back(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    journal = scene.journal()
    artifact = Artifact("gone.png", "0" * 64, 6, "image/png")
    journal.append(span(1_000, trace=1), Routing(EXPERIMENT, root=True, artifacts=(artifact,), metrics={"m": 1.0}))

    scene.run(scene.shipper(), seconds=5)

    assert scene.stored() == {1_000}
    assert scene.sink.metrics == {(f"{1_000:016x}", "m"): 1.0}
    assert "gone.png" in caplog.text


@pytest.mark.parametrize("days", [-1, 1])
def test_a_jump_of_the_wall_clock_changes_nothing(scene: Scene, days: int) -> None:
    journal = scene.journal()
    sink = FlakySink(scene.sink, [Unavailable("down")])
    shipper = scene.shipper(sink)
    append_trace(journal, 1)
    scene.run(shipper)

    scene.clock.set_wall(scene.clock.time_ns() + days * 86_400 * 10**9)
    scene.run(shipper, seconds=1)

    assert len(scene.stored()) == 3
