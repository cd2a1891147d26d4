from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.journals import JOURNAL, recorded
from tests.cli.running import tierlens
from tests.conftest import StoredMlflow
from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.testing.http_stub import HttpStub, Reply


def _wait_for(so: Callable[[], bool], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while not so() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.server
def test_what_lies_there_is_delivered_to_the_server_named_now(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    traces = recorded(tmp_path, experiment)

    ran = tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "6 spans delivered; nothing is left.\n"
    assert mlflow_server.trace_ids(experiment) == {trace.id for trace in traces}


@pytest.mark.server
def test_the_report_is_there_as_json_too(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> None:
    recorded(tmp_path, experiment, traces=1)

    ran = tierlens(
        tmp_path, "ship", "--once", "--json", "--journal-dir", JOURNAL, MLFLOW_TRACKING_URI=mlflow_server.uri
    )

    assert ran.json == {"stored": 3, "left": 0, "drained": True, "busy": False, "refusal": ""}


@pytest.mark.server
def test_a_sidecar_ships_until_it_is_told_to_stop(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> None:
    environ = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.uri}
    command = [sys.executable, "-m", "tierlens", "ship"]
    traces = recorded(tmp_path, experiment)
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as sidecar:
        try:
            _wait_for(lambda: not any((tmp_path / JOURNAL).glob("*.jsonl")))
            sidecar.send_signal(signal.SIGTERM)
            out, _ = sidecar.communicate(timeout=30)
        finally:
            sidecar.kill()

    assert (sidecar.returncode, out) == (0, "6 spans delivered; nothing is left.\n")
    assert mlflow_server.trace_ids(experiment) == {trace.id for trace in traces}


def test_nothing_to_deliver_is_no_error(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    assert (ran.code, ran.out) == (0, "0 spans delivered; nothing is left.\n")


def test_a_journal_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "ship", "--once", "--journal-dir", "jornal", MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    assert (ran.code, ran.out) == (2, "")
    assert "jornal is not there" in ran.err


def test_what_cannot_be_delivered_stays_and_is_said(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    ran = tierlens(tmp_path, "ship", "--once", "--patience", "0.5", MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    assert ran.code == 1
    assert ran.out == f"0 spans delivered; 6 wait in {tmp_path / JOURNAL} for the next try.\n"
    assert "the sink is unavailable" in ran.err


@pytest.mark.parametrize("command", [("ship", "--once"), ("journal", "drain")])
def test_a_refusal_ends_it_at_once_with_what_to_mend(tmp_path: Path, command: tuple[str, ...]) -> None:
    recorded(tmp_path, "x")
    started = time.monotonic()

    with HttpStub(otherwise=Reply(401, body=b'{"message": "who is there?"}')) as server:
        ran = tierlens(tmp_path, *command, MLFLOW_TRACKING_URI=server.uri)

    assert time.monotonic() - started < 20, "as long as it would be patient with an outage"
    assert ran.code == 1
    waits, why = ran.out.splitlines()
    assert waits == f"0 spans delivered; 6 wait in {tmp_path / JOURNAL} for the next try."
    assert why == (
        "MLflow refuses it, and would again: 401: who is there?; set MLFLOW_TRACKING_TOKEN, or "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )


def test_two_shippers_do_not_ship_one_journal(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    lock = FileLock(tmp_path / JOURNAL / SHIPPER_LOCK)
    assert lock.acquire()

    ran = tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    lock.release()
    assert ran.code == 1
    assert "Another process ships from" in ran.out


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "ship", "--once", MLFLOW_TRACKING_URI="./mlruns")

    assert ran.code == 2
    assert ran.err.startswith("tierlens: MLFLOW_TRACKING_URI: './mlruns' is a folder")
