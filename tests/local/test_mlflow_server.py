from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens.errors import ServerNotStarted
from tierlens.local import MlflowServer, ServerPlan
from tierlens.local.mlflow_server import command, end_group, environment
from tierlens.local.ports import free_port, is_free
from tierlens.local.tenancy import Tenancy
from tierlens.sinks.mlflow_http import MlflowHttpSink

PATIENCE_S = 60
SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_server_is_told_where_everything_lies():
    arguments = command(ServerPlan(Path("data"), workers=3, allowed_hosts="box.example"), 5001, "sqlite:///x")

    text = " ".join(arguments)
    assert "--backend-store-uri sqlite:///x" in text
    assert "--artifacts-destination data/artifacts --serve-artifacts" in text
    assert "--host 127.0.0.1 --port 5001 --workers 3" in text
    assert "--allowed-hosts box.example" in text


def test_the_server_calls_nobody_and_is_not_misled_by_a_clients_variables():
    found = environment({"PATH": "/bin", "MLFLOW_TRACKING_URI": "http://other", "MLFLOW_PORT": "1"})

    assert found["PATH"] == "/bin"
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["MLFLOW_MODEL_CATALOG_URI"] == ""
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_PORT"} & found.keys()


def test_a_port_that_is_taken_is_passed_over(taken):
    assert not is_free("127.0.0.1", taken)
    assert free_port("127.0.0.1", taken) > taken


def test_a_port_asked_for_that_is_taken_is_said_to_be(tmp_path, taken):
    with pytest.raises(ServerNotStarted, match=f"port {taken} is taken"):
        MlflowServer(ServerPlan(tmp_path, port=taken)).start()


@pytest.mark.parametrize("port", [None, 5_912])
def test_a_host_that_is_not_ours_is_said_not_to_be(tmp_path, port):
    with pytest.raises(ServerNotStarted, match=r"'192\.0\.2\.1' is no address of this machine"):
        MlflowServer(ServerPlan(tmp_path, host="192.0.2.1", port=port)).start()


def test_a_folder_is_served_by_one_at_a_time(tmp_path):
    first, second = Tenancy(tmp_path), Tenancy(tmp_path)
    first.acquire()
    first.note(os.getpid(), "http://127.0.0.1:5000")

    with pytest.raises(ServerNotStarted, match=r"served already, by http://127\.0\.0\.1:5000"):
        second.acquire()
    first.release()

    second.acquire()
    assert second.noted() == {}
    second.release()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid":"x"}', b'{"pid":1}', b'{"pid":999999999}'])
def test_a_stale_or_damaged_note_is_passed_over(tmp_path, note):
    (tmp_path / "server.json").write_bytes(note)
    tenancy = Tenancy(tmp_path)

    tenancy.acquire()
    tenancy.release()


@pytest.fixture(params=["/proc", "ps"])
def told_of_processes_by(request, monkeypatch, tmp_path):
    if request.param == "ps":
        if not Path("/bin/ps").exists():
            pytest.skip("there is no ps here")
        monkeypatch.setattr("tierlens.local.tenancy._PROC", tmp_path / "no proc")


@pytest.mark.usefixtures("told_of_processes_by")
def test_a_server_whose_parent_was_killed_is_ended_by_the_next(tmp_path):
    orphan = asleep(str(tmp_path.absolute()))
    (tmp_path / "server.json").write_text(f'{{"pid":{orphan.pid},"uri":"http://x"}}')
    tenancy = Tenancy(tmp_path)

    tenancy.acquire()

    assert orphan.wait(PATIENCE_S) == -signal.SIGTERM
    tenancy.release()


@pytest.mark.usefixtures("told_of_processes_by")
def test_a_stranger_that_was_given_the_same_pid_is_left_alone(tmp_path):
    stranger = asleep()
    (tmp_path / "server.json").write_text(f'{{"pid":{stranger.pid},"uri":"http://x"}}')
    tenancy = Tenancy(tmp_path)

    tenancy.acquire()

    assert stranger.poll() is None
    end_group(stranger, PATIENCE_S)
    tenancy.release()


def test_a_process_that_ignores_sigterm_is_killed_with_its_children():
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'],"
        "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True); time.sleep(600)"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(leader.stdout.readline()))

    end_group(leader, grace_s=0.1)

    assert leader.returncode == -signal.SIGKILL
    psutil.wait_procs([child], PATIENCE_S)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.server
def test_a_server_that_gives_up_shows_why(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)

    with pytest.raises(ServerNotStarted, match="file is not a database"):
        MlflowServer(ServerPlan(tmp_path, port=0)).start()

    assert is_free_again(tmp_path)


@pytest.mark.server
def test_a_database_that_is_served_logs_ahead_and_is_one_file_again_afterwards(tmp_path):
    with MlflowServer(ServerPlan(tmp_path, port=0)):
        while_served = journal_mode(tmp_path)

    assert (while_served, journal_mode(tmp_path)) == ("wal", "delete")
    assert [path.name for path in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


def journal_mode(folder: Path) -> str:
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute("pragma journal_mode").fetchone()[0]


def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "data").write_text("")

    with pytest.raises(ServerNotStarted, match=r"data cannot be a data folder \(File exists\)"):
        MlflowServer(ServerPlan(tmp_path / "data")).start()


@pytest.mark.postgres
def test_postgresql_is_not_tried_where_it_cannot_run(tmp_path):
    with pytest.raises(ServerNotStarted, match="cannot run below a folder with a space"):
        MlflowServer(ServerPlan(tmp_path / "my data", postgres=True)).start()


@pytest.mark.postgres
def test_a_server_on_postgresql_takes_traces_and_stops_with_its_database(tmp_path, experiment):
    trace = agent_trace()
    server = MlflowServer(ServerPlan(tmp_path, port=0, postgres=True))
    with server:
        sink = MlflowHttpSink(server.uri)
        finish = trace.finish(experiment, {"gap": 0.5, "robust": True})
        for _ in range(2):
            sink.send(batch(experiment, *trace.spans, finishes=[finish]))
        info = httpx.get(f"{server.uri}/api/3.0/mlflow/traces/tr-{trace.id}").json()["trace"]["trace_info"]

    assert len(info["assessments"]) == 2
    assert info["state"] == "OK"
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    assert is_free_again(tmp_path)


def asleep(*arguments: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *arguments], start_new_session=True, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process


def is_free_again(folder: Path) -> bool:
    tenancy = Tenancy(folder)
    tenancy.acquire()
    tenancy.release()
    return not (folder / "server.json").exists()
