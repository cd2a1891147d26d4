"""Shipping from a child process that outlives its parent for as long as it has to."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journal.processes import eventually, start
from tests.journal.spans import ROUTING, span
from tests.shipping.agents import NOWHERE, SLOW_START_S, Agent, agent, no_shipper_left, numbers, shipper, shipper_ended
from tests.shipping.harness import append_trace
from tierlens.journal.segment import SHIP_LOG, SHIPPER_WANTED
from tierlens.shipping.hosts.process import reachable
from tierlens.shipping.limits import Limits
from tierlens.testing.http_stub import Reply
from tierlens.testing.mlflow_stub import MlflowStub

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    with no_shipper_left(tmp_path / "journal"):
        yield tmp_path / "journal"


@pytest.fixture
def mlflow() -> Iterator[MlflowStub]:
    with MlflowStub() as stub:
        yield stub


@pytest.fixture
def beside(directory: Path, mlflow: MlflowStub) -> Iterator[Agent]:
    made = agent(directory, mlflow.uri, MLFLOW_TRACKING_TOKEN="open-sesame")
    yield made
    made.end()


def pid_of(beside: Agent) -> int:
    pid = beside.shipping.pid
    assert pid is not None
    return pid


def test_a_child_process_delivers_and_ends_once_its_parent_has(directory: Path, mlflow: MlflowStub) -> None:
    beside = agent(directory, mlflow.uri)
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(SLOW_START_S).pending == 0
    append_trace(beside.journal, 2)

    beside.journal.close()

    eventually(lambda: len(numbers(mlflow)) == 6, seconds=SLOW_START_S)
    eventually(shipper_ended(directory), seconds=SLOW_START_S)
    assert sorted(path.name for path in directory.iterdir()) == ["ship.log", "shipper.lock", "totals"]
    beside.shipping.close()


def test_a_killed_parents_spans_are_delivered(directory: Path, mlflow: MlflowStub) -> None:
    def parent(say: Callable[[int], None]) -> None:
        beside = agent(directory, mlflow.uri)
        append_trace(beside.journal, 1)
        beside.shipping.flush(SLOW_START_S)
        append_trace(beside.journal, 2)
        beside.journal.append_start(span(5, end_ns=0), ROUTING)
        say(1)
        threading.Event().wait(60)

    worker = start(parent)
    worker.hear(1)
    worker.kill()

    eventually(lambda: len(numbers(mlflow)) == 7, seconds=SLOW_START_S)


def test_a_flush_does_not_wait_for_roots(beside: Agent, mlflow: MlflowStub) -> None:
    took = []
    for trace in range(1, 5):
        append_trace(beside.journal, trace, root=False)
        before = time.monotonic()
        assert beside.shipping.flush(SLOW_START_S).pending == 0
        took.append(time.monotonic() - before)

    assert min(took) < Limits().root_patience_s / 2
    assert len(numbers(mlflow)) == 8


def test_a_child_process_that_dies_is_replaced(beside: Agent, directory: Path) -> None:
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(SLOW_START_S).pending == 0
    first = pid_of(beside)
    os.kill(first, signal.SIGKILL)
    append_trace(beside.journal, 2)

    assert beside.shipping.flush(SLOW_START_S).pending == 0

    assert beside.shipping.pid != first
    assert shipper(directory) == beside.shipping.pid


def test_no_child_process_is_started_where_there_is_nothing_to_ship(beside: Agent) -> None:
    beside.shipping.start()

    assert beside.shipping.flush(1.0).pending == 0
    assert beside.shipping.pid is None


def test_several_agents_of_one_journal_share_one_child(directory: Path, mlflow: MlflowStub) -> None:
    def live(say: Callable[[int], None]) -> None:
        beside = agent(directory, mlflow.uri)
        append_trace(beside.journal, os.getpid())
        assert beside.shipping.flush(SLOW_START_S).pending == 0
        say(beside.shipping.pid or 0)
        threading.Event().wait(60)

    workers = [start(live) for _ in range(4)]
    for worker in workers:
        worker.hear(1)
    pids = [pid for worker in workers for pid in worker.kill() if pid]

    assert len(pids) == 1
    assert shipper(directory) == pids[0]
    assert len(numbers(mlflow)) == 12


def test_a_forked_child_shares_its_parents_shipper_and_outlives_it(directory: Path, mlflow: MlflowStub) -> None:
    def parent(say: Callable[[int], None]) -> None:
        beside = agent(directory, mlflow.uri)
        append_trace(beside.journal, 1)
        assert beside.shipping.flush(SLOW_START_S).pending == 0
        first = pid_of(beside)
        if os.fork() == 0:
            os.kill(first, signal.SIGKILL)
            append_trace(beside.journal, 2)
            assert beside.shipping.flush(SLOW_START_S).pending == 0
            say(1)
            os._exit(0)
        os._exit(0)

    worker = start(parent)
    worker.hear(1)
    worker.wait()

    assert len(numbers(mlflow)) == 6


def test_credentials_go_by_environment_and_never_as_arguments(beside: Agent, mlflow: MlflowStub) -> None:
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(SLOW_START_S).pending == 0

    assert {request.headers["authorization"] for request in mlflow.requests} == {"Bearer open-sesame"}
    if sys.platform == "linux":
        command = Path(f"/proc/{beside.shipping.pid}/cmdline").read_text()
        assert "tierlens.shipping.hosts.child" in command
        assert "sesame" not in command
        assert mlflow.uri not in command


@linux
def test_the_child_shares_neither_files_nor_session_nor_signals_with_its_host(directory: Path, tmp_path: Path) -> None:
    with MlflowStub() as mlflow, (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            beside = agent(directory, mlflow.uri)
            append_trace(beside.journal, 1)
            assert beside.shipping.flush(SLOW_START_S).pending == 0
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
            signal.signal(signal.SIGTERM, before)
        pid = pid_of(beside)
        assert os.getsid(pid) == pid
        opened = {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert (opened["0"], opened["1"], opened["2"]) == ("/dev/null", "/dev/null", str(directory / SHIP_LOG))
        assert held.name not in opened.values()
        ignored, blocked = signals_of(pid)
        assert signal.SIGTERM not in ignored
        assert signal.SIGUSR1 not in blocked
        beside.end()


def signals_of(pid: int) -> tuple[set[int], set[int]]:
    """Those that a process ignores, and those that it blocks."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    masks = (int(status[name], 16) for name in ("SigIgn", "SigBlk"))
    ignored, blocked = ({number for number in range(1, 65) if mask >> (number - 1) & 1} for mask in masks)
    return ignored, blocked


def test_a_service_that_is_stopped_as_a_whole_delivers_its_last_spans(beside: Agent, mlflow: MlflowStub) -> None:
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(SLOW_START_S).pending == 0
    os.kill(pid_of(beside), signal.SIGTERM)
    append_trace(beside.journal, 2)

    beside.end()

    assert len(numbers(mlflow)) == 6


def test_told_twice_the_child_ends_at_once(beside: Agent, directory: Path) -> None:
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(SLOW_START_S).pending == 0
    beside.shipping.close()
    pid, before = pid_of(beside), time.monotonic()

    def told() -> bool:
        if not shipper_ended(directory)():
            os.kill(pid, signal.SIGTERM)
        return shipper_ended(directory)()

    eventually(told)
    assert time.monotonic() - before < 3.0


@pytest.mark.parametrize("executable", ["", "/nowhere/python3", "/usr/sbin/uwsgi", __file__])
def test_where_there_is_no_python_to_start_a_thread_ships(
    directory: Path, mlflow: MlflowStub, executable: str, caplog: pytest.LogCaptureFixture
) -> None:
    beside = agent(directory, mlflow.uri, executable or "frozen-app")
    append_trace(beside.journal, 1)

    assert beside.shipping.flush(5.0).pending == 0

    assert beside.shipping.pid is None
    assert caplog.text.count("no shipping process can be started, so a thread ships") == 1
    append_trace(beside.journal, 2)
    beside.end()
    assert len(numbers(mlflow)) == 6


def test_where_children_end_in_error_a_thread_ships(
    directory: Path, mlflow: MlflowStub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "python-that-is-broken"
    broken.write_text("#!/bin/sh\necho 'no module named anything' >&2\nexit 7\n")
    broken.chmod(0o700)
    beside = agent(directory, mlflow.uri, str(broken))
    append_trace(beside.journal, 1)

    assert beside.shipping.flush(SLOW_START_S).pending == 0

    assert caplog.text.count("no shipping process can be started, so a thread ships: it ended with 7") == 1
    assert "no module named anything" in caplog.text
    beside.end()


def test_a_child_that_can_have_no_sink_says_why_in_one_line(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside = agent(directory, "mlruns")
    append_trace(beside.journal, 1)

    eventually(lambda: "nothing can be delivered: MLFLOW_TRACKING_URI: 'mlruns'" in caplog.text, seconds=SLOW_START_S)

    assert "Traceback" not in (directory / SHIP_LOG).read_text()
    beside.end()


def test_a_journal_that_cannot_be_looked_into_is_told_of_and_keeps_nobody_from_starting(
    tmp_path: Path, mlflow: MlflowStub, caplog: pytest.LogCaptureFixture
) -> None:
    circle = tmp_path / "journal"
    circle.symlink_to(circle)

    beside = agent(circle, mlflow.uri)
    beside.shipping.start()

    eventually(lambda: "whether anybody ships cannot be seen" in caplog.text)
    beside.end()


def test_an_exit_waits_for_a_backend_that_takes_it(directory: Path, mlflow: MlflowStub) -> None:
    beside = agent(directory, mlflow.uri)
    append_trace(beside.journal, 1)

    report = beside.shipping.close(timeout_s=SLOW_START_S)

    assert (report.stored, report.pending) == (3, 0)
    assert len(numbers(mlflow)) == 3
    beside.journal.close()


@pytest.mark.parametrize("known", [False, True])
def test_an_exit_is_not_delayed_by_a_backend_that_is_down(directory: Path, known: bool) -> None:
    beside = agent(directory, NOWHERE)
    append_trace(beside.journal, 1)
    if known:
        eventually(lambda: shipper(directory) is not None, seconds=SLOW_START_S)
    before = time.monotonic()

    report = beside.shipping.close(timeout_s=SLOW_START_S)

    assert time.monotonic() - before <= 0.5
    assert report.pending == 3
    beside.journal.close()


def test_an_exit_is_not_delayed_by_a_backend_that_does_not_answer(directory: Path) -> None:
    answer = threading.Event()
    with MlflowStub(otherwise=Reply(wait=answer)) as mlflow:
        beside = agent(directory, mlflow.uri)
        append_trace(beside.journal, 1)
        eventually(lambda: mlflow.span_requests > 0, seconds=SLOW_START_S)
        before = time.monotonic()

        beside.shipping.close(timeout_s=SLOW_START_S)

        assert time.monotonic() - before <= 0.8
        beside.journal.close()
        answer.set()


def test_a_database_is_not_waited_for_before_it_has_taken_something(directory: Path, tmp_path: Path) -> None:
    beside = agent(directory, f"sqlite:///{tmp_path}/mlflow.db")
    append_trace(beside.journal, 1)
    before = time.monotonic()

    beside.shipping.close(timeout_s=SLOW_START_S)

    assert time.monotonic() - before <= 0.8
    beside.journal.close()


def test_a_child_left_behind_that_delivers_elsewhere_makes_way(
    directory: Path, mlflow: MlflowStub, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = agent(directory, NOWHERE)
    append_trace(earlier.journal, 1)
    eventually(lambda: shipper(directory) is not None, seconds=SLOW_START_S)
    earlier.end()

    later = agent(directory, mlflow.uri)
    append_trace(later.journal, 2)

    assert later.shipping.flush(SLOW_START_S).pending == 0
    eventually(lambda: len(numbers(mlflow)) == 6)
    assert "and to another place; it has been asked to make way" in caplog.text
    later.end()


def test_an_agent_that_ends_while_another_child_is_still_in_the_way_is_delivered_all_the_same(
    directory: Path, mlflow: MlflowStub
) -> None:
    earlier = agent(directory, NOWHERE)
    append_trace(earlier.journal, 1)
    eventually(lambda: shipper(directory) is not None, seconds=SLOW_START_S)
    earlier.end()
    in_the_way = shipper(directory)
    assert in_the_way is not None
    os.kill(in_the_way, signal.SIGSTOP)

    later = agent(directory, mlflow.uri)
    append_trace(later.journal, 2)
    eventually(lambda: (directory / SHIPPER_WANTED).exists())
    assert later.shipping.close().pending
    later.journal.close()
    os.kill(in_the_way, signal.SIGCONT)

    eventually(lambda: len(numbers(mlflow)) == 6, seconds=SLOW_START_S)


def test_what_the_child_has_to_say_is_in_the_hosts_log(
    directory: Path, mlflow: MlflowStub, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.then(otherwise=Reply(401, body=b"no such token"))
    beside = agent(directory, mlflow.uri)
    append_trace(beside.journal, 1)
    eventually(lambda: mlflow.span_requests > 0, seconds=SLOW_START_S)

    eventually(lambda: "nothing can be stored in 'app/Kisqali' until this is mended: 401" in caplog.text)

    assert "401: no such token; set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and" in caplog.text
    assert {record.levelno for record in caplog.records if "401" in record.message} == {logging.WARNING}
    beside.end()


@pytest.mark.parametrize(
    ("address", "answers"),
    [
        ("{}", True),
        ("{}/prefix/", True),
        ("otlp+{}", True),
        (NOWHERE, False),
        ("http://[broken", False),
        ("http://", False),
        ("http://h:notaport", False),
        ("sqlite:///mlflow.db", False),
        ("postgresql://127.0.0.1/mlflow", False),
    ],
)
def test_an_address_is_reachable_where_somebody_takes_connections(
    mlflow: MlflowStub, address: str, answers: bool
) -> None:
    assert reachable(address.format(mlflow.uri)) is answers
