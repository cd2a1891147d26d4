"""``tierlens journal``: what an operator sees of a journal, and does about it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.journals import JOURNAL, recorded, write
from tests.cli.running import tierlens
from tests.conftest import StoredMlflow
from tests.sinks.traces import Trace, agent_trace
from tierlens import keys
from tierlens.errors import JournalRefused
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.journal.writer import Journal
from tierlens.shipping.limits import Limits
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.spans import Routing
from tierlens.testing.clock import FakeClock
from tierlens.testing.mlflow_stub import MlflowStub
from tierlens.testing.sinks import KnowingSink, MemorySink
from tierlens.upkeep.drain import drain

NOWHERE = "http://127.0.0.1:9"


def segment(folder: Path) -> Path:
    [path] = (folder / JOURNAL).glob("*.jsonl")
    return path


def written(journal: Journal) -> int:
    """How many spans go in until one is refused."""
    for count in range(1_000):
        try:
            journal.append(agent_trace().root, Routing("x", root=True))
        except JournalRefused:
            return count
    raise AssertionError("none was refused")


def test_stat_says_what_waits_and_for_how_long(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    found = tierlens(tmp_path, "journal", "stat", "--json").json

    assert (found["writers_alive"], found["writers_dead"], found["segments"]) == (0, 1, 1)
    assert (found["pending"], found["stored"], found["damaged"], found["refused"]) == (6, 0, 0, {})
    assert found["quota_bytes"] == 1 << 30
    assert found["oldest_pending_ns"] <= time.time_ns() + 2_000_000_000
    [writer] = found["writers"]
    assert (writer["alive"], writer["pending"], writer["experiments"]) == (False, 6, ["x"])


@pytest.mark.parametrize(("bound", "value"), [("--max-share", "80"), ("--max-lag", "nan"), ("--max-lag", "-1")])
def test_a_bound_that_nothing_could_pass_is_bad_usage(tmp_path: Path, bound: str, value: str) -> None:
    recorded(tmp_path, "x")

    ran = tierlens(tmp_path, "journal", "stat", bound, value)

    assert (ran.code, ran.out) == (2, "")
    assert f"Invalid value for '{bound}'" in ran.err


def test_a_file_is_said_to_be_no_journal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert (
        f"--journal-dir: {tmp_path}/file is no folder: give "
        in tierlens(tmp_path, "journal", "stat", "--journal-dir", "file").err
    )


def test_stat_knows_the_living_and_what_those_before_them_came_to(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    drain(tmp_path / JOURNAL, MemorySink)
    living = Journal(tmp_path / JOURNAL, resource={})
    write(living, agent_trace(), "x")

    found = tierlens(tmp_path, "journal", "stat", "--json").json

    living.close()
    assert (found["writers_alive"], found["pending"], found["stored"]) == (1, 3, 6)


@pytest.mark.parametrize("looked_at_before", [False, True])
def test_stat_counts_what_dead_processes_left_unended(tmp_path: Path, *, looked_at_before: bool) -> None:
    ended, unended = agent_trace().root, agent_trace().root
    journal = Journal(tmp_path / JOURNAL, resource={})
    for span in (ended, unended):
        journal.append_start(span, Routing("x", root=True))
    if looked_at_before:
        drain(tmp_path / JOURNAL, MemorySink)
    journal.append(ended, Routing("x", root=True))
    alive = tierlens(tmp_path, "journal", "stat", "--json").json
    journal.close()

    dead = tierlens(tmp_path, "journal", "stat", "--json").json

    assert (alive["open"], alive["writers"][0]["open"]) == (0, 1)
    assert (dead["open"], dead["writers"][0]["open"], dead["pending"]) == (1, 1, 1)


def test_stat_counts_what_was_refused_and_what_is_damaged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={}, quota_bytes=4_000)
    accepted = written(journal)
    journal.close()
    with segment(tmp_path).open("ab") as file:
        file.write(b"rubbish\n")

    found = tierlens(tmp_path, "journal", "stat", "--json").json

    assert found["pending"] == accepted
    assert found["refused"] == {"quota": 1}
    assert found["damaged"] == 1


def test_stat_tells_a_script_that_delivery_lags(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={})
    old = agent_trace().root
    journal.append(old._replace(end_ns=time.time_ns() - 60_000_000_000), Routing("x", root=True))
    journal.close()

    assert tierlens(tmp_path, "journal", "stat", "--max-lag", "30").code == 1
    assert tierlens(tmp_path, "journal", "stat", "--max-lag", "3000", "--max-share", "0.5").code == 0


def test_a_journal_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "journal", "stat", "--journal-dir", "nowhere")

    assert ran.code == 2
    assert ran.err.startswith(f"tierlens: --journal-dir: {tmp_path}/nowhere is not there")


def test_tail_shows_the_last_records(tmp_path: Path) -> None:
    recorded(tmp_path, "app/Kisqali")

    shown = [json.loads(line) for line in tierlens(tmp_path, "journal", "tail", "-n", "4", "--json").out.splitlines()]

    assert [record["kind"] for record in shown] == ["span"] * 4
    assert shown[-1]["name"] == "brand_analytics"
    assert shown[-1]["experiment"] == "app/Kisqali"
    assert len(tierlens(tmp_path, "journal", "tail").out.splitlines()) == 6


def test_tail_follows_what_is_written_meanwhile(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={})
    write(journal, agent_trace(), "x")
    command = [sys.executable, "-m", "tierlens", "journal", "tail", "-n", "0", "-f", "--json"]
    seen, later = threading.Event(), list[Trace]()

    def go_on() -> None:
        # It may not have begun to follow when the first is written.
        while not seen.wait(0.2):
            later.append(agent_trace())
            write(journal, later[-1], "x")

    writing = threading.Thread(target=go_on)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as tail:
        writing.start()
        try:
            assert tail.stdout is not None
            line = tail.stdout.readline()
        finally:
            seen.set()
            tail.kill()
    writing.join()
    journal.close()

    assert json.loads(line)["trace"] in {trace.id for trace in later}


@pytest.mark.server
def test_drain_delivers_what_lies_there(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> None:
    traces = recorded(tmp_path, experiment)

    ran = tierlens(tmp_path, "journal", "drain", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert (ran.code, ran.out) == (0, "6 spans delivered; nothing is left.\n")
    assert mlflow_server.trace_ids(experiment) == {trace.id for trace in traces}


def test_drain_says_what_is_left(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    ran = tierlens(tmp_path, "journal", "drain", "--patience", "0.5", "--json", MLFLOW_TRACKING_URI=NOWHERE)

    assert ran.code == 1
    assert ran.json == {"stored": 0, "left": 6, "drained": False, "busy": False, "refusal": ""}


def test_drain_leaves_it_to_the_shipper_of_a_living_agent_and_waits(tmp_path: Path) -> None:
    with MlflowStub() as mlflow:
        journal = Journal(tmp_path / JOURNAL, resource={})
        sidecar = subprocess.Popen(
            [sys.executable, "-m", "tierlens", "ship"],
            cwd=tmp_path,
            env={"PATH": "", "MLFLOW_TRACKING_URI": mlflow.uri},
            stdout=subprocess.DEVNULL,
        )
        try:
            write(journal, agent_trace(), "x")
            while not (tmp_path / JOURNAL / SHIPPER_LOCK).exists():
                assert sidecar.poll() is None
                time.sleep(0.05)
            write(journal, agent_trace(), "x")
            ran = tierlens(tmp_path, "journal", "drain", MLFLOW_TRACKING_URI=NOWHERE)
        finally:
            sidecar.terminate()
            sidecar.wait()
            journal.close()

        assert ran.code == 0, ran.out + ran.err
        assert len(mlflow.spans) == 6


def test_repair_first_says_what_it_would_do(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    content = bytearray(segment(tmp_path).read_bytes())
    content[600] ^= 4
    segment(tmp_path).write_bytes(content)

    ran = tierlens(tmp_path, "journal", "repair", "--json")

    assert ran.code == 1
    [flaw] = ran.json["damaged"]
    assert (flaw["what"], ran.json["put_back"]) == ("line", 0)
    assert "is put back whole" in flaw["mend"]


def test_repair_mends_a_flipped_bit_and_touches_no_other_line(tmp_path: Path) -> None:
    traces = recorded(tmp_path, "x")
    before = bytearray(segment(tmp_path).read_bytes())
    before[600] ^= 4
    damaged = segment(tmp_path)
    damaged.write_bytes(before)

    ran = tierlens(tmp_path, "journal", "repair", "--yes")

    sink = MemorySink()
    assert (ran.code, damaged.read_bytes()) == (0, bytes(before))
    assert tierlens(tmp_path, "journal", "repair").out == "Nothing is damaged.\n"
    assert drain(tmp_path / JOURNAL, lambda: sink).drained
    assert set(sink.spans) == {span.span_id for trace in traces for span in trace.spans}


def test_what_cannot_be_mended_is_said_once(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    with segment(tmp_path).open("ab") as file:
        file.write(b'{"tierlens":{"v":1,"crc":"0')

    assert tierlens(tmp_path, "journal", "repair", "--yes").code == 1
    assert tierlens(tmp_path, "journal", "repair", "--yes").code == 0


def delivered_in_vain(folder: Path, sink: MlflowHttpSink | KnowingSink) -> None:
    """Spans that a shipper delivered that was killed before it could ask for them."""
    shipper = Shipper(folder / JOURNAL, sink, limits=Limits(delay_s=0.0), clock=FakeClock())
    shipper.look()
    while not shipper.step():
        pass
    shipper.abandon()


@pytest.mark.server
def test_verify_sends_again_what_mlflow_does_not_hold(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    traces = recorded(tmp_path, experiment)
    delivered_in_vain(tmp_path, KnowingSink(lies=lambda batch: True))

    checked = tierlens(tmp_path, "journal", "verify", "--check", "--json", MLFLOW_TRACKING_URI=mlflow_server.uri)
    sent = tierlens(tmp_path, "journal", "verify", "--json", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert (checked.code, len(checked.json["missing"]), checked.json["put_back"]) == (1, 6, 0)
    assert (sent.code, sent.json["put_back"], sent.json["still_missing"]) == (0, 6, 0)
    assert mlflow_server.trace_ids(experiment) == {trace.id for trace in traces}


@pytest.mark.server
def test_verify_finds_nothing_missing_where_all_is_there(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    recorded(tmp_path, experiment)
    delivered_in_vain(tmp_path, MlflowHttpSink(mlflow_server.uri))

    ran = tierlens(tmp_path, "journal", "verify", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert ran.code == 0
    assert ran.out == "6 delivered spans of 2 traces compared: 0 missing, 0 sent again, 0 missing now.\n"


def test_an_otlp_endpoint_cannot_be_asked(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    ran = tierlens(tmp_path, "journal", "verify", MLFLOW_TRACKING_URI=f"otlp+{NOWHERE}")

    assert ran.code == 1
    assert "cannot be asked" in ran.err


@pytest.mark.server
def test_incomplete_lists_traces_that_lack_spans(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> None:
    whole, lacking, rootless = agent_trace(), agent_trace(), agent_trace()
    journal = Journal(tmp_path / JOURNAL, resource={})
    for trace, started in ((whole, 3), (lacking, 5)):
        said = {keys.SPANS_STARTED: started}
        root = trace.root._replace(attributes={**trace.root.attributes, **said})
        write(journal, Trace((root, *trace.spans[1:])), experiment)
    for span in rootless.spans[1:]:
        journal.append(span, Routing(experiment))
    journal.close()
    assert tierlens(tmp_path, "journal", "drain", MLFLOW_TRACKING_URI=mlflow_server.uri).code == 0

    ran = tierlens(tmp_path, "journal", "incomplete", "--json", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert ran.code == 1
    listed = {one["trace_id"]: (one["started"], one["stored"]) for one in ran.json}
    assert listed[f"tr-{lacking.id}"] == (5, 3)
    assert listed[f"tr-{rootless.id}"] == (None, 2)
    assert f"tr-{whole.id}" not in listed
    assert mlflow_server.trace(whole.id)["tags"][keys.COMPLETE] == "true"
