from __future__ import annotations

import errno
import logging
import threading

import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens.errors import Rejected, Unavailable
from tierlens.sinks.fanout import FanOut

PATIENCE_S = 20


class Kept:
    """A sink that keeps batches; ``errors`` are raised first, one a call; ``gate`` holds every call."""

    def __init__(self, *errors):
        self.batches, self.finishes, self.closed = [], [], False
        self.errors, self.gate, self.arrived = list(errors), threading.Event(), threading.Semaphore(0)
        self.gate.set()

    def send(self, batch):
        self.gate.wait(PATIENCE_S)
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)
        self.arrived.release()

    def finish(self, finish):
        self.finishes.append(finish)

    def close(self):
        self.closed = True


def a_batch():
    return batch("app/Kisqali", *agent_trace().spans)


def test_both_destinations_get_what_the_first_has_stored():
    first, second, sending = Kept(), Kept(), a_batch()
    sink = FanOut(first, second)

    sink.send(sending)

    assert second.arrived.acquire(timeout=PATIENCE_S)
    assert first.batches == second.batches == [sending]
    assert sink.lost == 0


def test_what_the_first_refuses_the_second_never_sees():
    first, second = Kept(Unavailable("down")), Kept()
    sink = FanOut(first, second, drain_s=PATIENCE_S)

    with pytest.raises(Unavailable):
        sink.send(a_batch())
    sink.close()

    assert second.batches == []


def test_a_second_destination_that_hangs_holds_nothing_back():
    first, second = Kept(), Kept()
    second.gate.clear()
    sink = FanOut(first, second, drain_s=0)

    for _ in range(20):
        sink.send(a_batch())
    sink.close()

    assert len(first.batches) == 20
    second.gate.set()


def test_what_does_not_fit_the_queue_is_counted():
    second, sending = Kept(), a_batch()
    second.gate.clear()
    room = sum(map(len, sending.spans))
    sink = FanOut(Kept(), second, queue_bytes=room, drain_s=0)

    sink.send(sending)
    sink.send(sending)

    assert sink.lost == len(sending.spans)
    second.gate.set()


def test_what_the_second_refuses_is_counted_and_the_rest_goes_on(caplog):
    second, sending = Kept(Rejected("no")), a_batch()
    sink = FanOut(Kept(), second)

    with caplog.at_level(logging.WARNING):
        sink.send(sending)
        sink.send(sending)

        assert second.arrived.acquire(timeout=PATIENCE_S)
    assert len(second.batches) == 1
    assert sink.lost == len(sending.spans)
    assert caplog.text.count("second destination has lost") == 1


def test_a_second_destination_that_fails_in_its_own_way_is_tried_again_with_the_next(caplog):
    second, sending = Kept(OSError(errno.ENOSPC, "No space left on device")), a_batch()
    sink = FanOut(Kept(), second)

    with caplog.at_level(logging.WARNING):
        sink.send(sending)
        sink.send(sending)

        assert second.arrived.acquire(timeout=PATIENCE_S)
    assert sink.lost == len(sending.spans)
    assert "No space left" in caplog.text


def test_a_second_destination_that_is_down_for_a_moment_loses_nothing():
    second, sending = Kept(Unavailable("down", 503, retry_after_s=0.01)), a_batch()
    sink = FanOut(Kept(), second)

    sink.send(sending)

    assert second.arrived.acquire(timeout=PATIENCE_S)
    assert (second.batches, sink.lost) == ([sending], 0)


def test_metrics_and_files_go_to_the_first():
    first, second = Kept(), Kept()
    finish = agent_trace().finish("x", {"gap": 1.0})

    FanOut(first, second).finish(finish)

    assert (first.finishes, second.finishes) == ([finish], [])


def test_closing_sends_what_waits_and_closes_both():
    first, second, sending = Kept(), Kept(), a_batch()
    sink = FanOut(first, second, drain_s=PATIENCE_S)

    sink.send(sending)
    sink.close()

    assert second.batches == [sending]
    assert (first.closed, second.closed) == (True, True)
