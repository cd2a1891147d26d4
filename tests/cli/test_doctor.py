from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Ran, tierlens
from tests.cli.test_ship import JOURNAL, recorded
from tests.conftest import StoredMlflow
from tests.journal.spans import ROOT, span
from tests.rights import WITHOUT_RIGHTS, needs_setpriv
from tierlens.cli.destination import clock
from tierlens.errors import JournalRefused
from tierlens.journal.segment import DEAD_LETTER
from tierlens.journal.writer import Journal
from tierlens.local.ports import free_port
from tierlens.local.postgres import Postgres
from tierlens.projection.prices import PUBLISHED
from tierlens.shipping.metrics import open_tally
from tierlens.sinks.databases import tables_of
from tierlens.sinks.metrics_plan import MetricsPlan
from tierlens.testing.http_stub import HttpStub, Recorded, Reply

BEGAN = dt.datetime(2026, 11, 22, 3, 47, tzinfo=dt.UTC)
NOWHERE = "http://127.0.0.1:9"


def findings(ran: Ran) -> dict[str, list[dict[str, Any]]]:
    """What was found, by subject."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in ran.json["checks"]:
        found.setdefault(finding["subject"], []).append(finding)
    return found


def doctor(folder: Path, uri: str = NOWHERE, **variables: str) -> dict[str, list[dict[str, Any]]]:
    return findings(tierlens(folder, "doctor", "--json", MLFLOW_TRACKING_URI=uri, **variables))


@pytest.mark.server
def test_a_good_set_up_is_all_ok(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tierlens.yaml").write_text(f"app: {experiment}\nbrands: [A, B]\n")
    mlflow_server.post("/api/2.0/mlflow/experiments/create", {"name": f"{experiment}/A"})

    ran = tierlens(tmp_path, "doctor", "--json", MLFLOW_TRACKING_URI=mlflow_server.uri)

    assert ran.code == 0
    assert ran.json["ok"]
    found = findings(ran)
    # Not for us to choose: in a container the disk is the container's own.
    assert found.pop("file system", None) or sys.platform != "linux"
    assert {finding["status"] for checks in found.values() for finding in checks} == {"ok"}
    assert "MLflow 3." in found["server"][0]["found"]
    assert found["permissions"][0]["found"] == "experiments can be read and made"
    there, missing = found["experiment"]
    assert there["found"].startswith(f"{experiment}/A: id ")
    assert missing["found"] == f"{experiment}/B: not there yet; the first trace makes it"
    assert not (tmp_path / "var").exists()


@pytest.mark.server
def test_a_deleted_experiment_fails_with_the_command_that_mends_it(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    made = mlflow_server.post("/api/2.0/mlflow/experiments/create", {"name": experiment})["experiment_id"]
    mlflow_server.post("/api/2.0/mlflow/experiments/delete", {"experiment_id": made})

    found = doctor(tmp_path, mlflow_server.uri, MLFLOW_EXPERIMENT_NAME=experiment)["experiment"][0]

    assert found["status"] == "fail"
    assert f"mlflow experiments restore -x {made}" in found["mend"]


@pytest.mark.server
def test_a_deleted_experiment_that_spans_wait_for_is_found_where_no_brand_is_named(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    recorded(tmp_path, experiment)
    made = mlflow_server.post("/api/2.0/mlflow/experiments/create", {"name": experiment})["experiment_id"]
    mlflow_server.post("/api/2.0/mlflow/experiments/delete", {"experiment_id": made})

    found = doctor(tmp_path, mlflow_server.uri)["experiment"]

    assert (found[-1]["status"], found[-1]["found"]) == ("fail", f"{experiment}: deleted")


def test_a_server_that_is_down_fails_in_a_table_too(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "doctor", MLFLOW_TRACKING_URI=NOWHERE)

    assert ran.code == 1
    assert "✗ fail   server" in ran.out
    assert "start it (`tierlens up`)" in ran.out


@pytest.mark.parametrize(
    ("status", "body", "found", "mend"),
    [
        (200, b"<html>hello</html>", "does not answer like MLflow", "set MLFLOW_TRACKING_URI"),
        (401, b"", "answers 401", "set MLFLOW_TRACKING_TOKEN"),
        (200, b"2.9.1", "MLflow 2.9.1", "upgrade it to MLflow 3.17"),
        (404, b"no such page", "answers 404: no such page", "set MLFLOW_TRACKING_URI to the address of an MLflow"),
        (502, b"bad gateway", "answers 502: bad gateway", "start it (`tierlens up`), or set MLFLOW_TRACKING_URI"),
    ],
)
def test_a_server_that_will_not_do_fails(tmp_path: Path, status: int, body: bytes, found: str, mend: str) -> None:
    with HttpStub(otherwise=Reply(status, body=body)) as server:
        checks = doctor(tmp_path, server.uri)

    told = checks["server"]
    assert told[0]["status"] == "fail"
    assert found in told[0]["found"]
    assert mend in told[0]["mend"]
    # Nothing more is asked of what is no MLflow, so nothing contradicts that finding.
    assert len(told) == 1 or "MLflow 2" in found


def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "doctor", MLFLOW_TRACKING_URI="http://ana:hush@127.0.0.1:9")

    assert "hush" not in ran.out + ran.err


def test_bad_settings_and_bad_files_are_findings(tmp_path: Path) -> None:
    assert doctor(tmp_path, TIERLENS_SHIPPER="tread")["settings"][0]["status"] == "fail"

    (tmp_path / "config").mkdir()
    (tmp_path / "config/tierlens.yaml").write_text("brnads: []\nquestion: x\n")
    found = doctor(tmp_path)["config"][0]

    assert (found["status"], found["mend"]) == ("fail", "`tierlens check` lists all")
    assert found["found"] == "config/tierlens.yaml:1: brnads is not a known key; did you mean brands? (and 1 more)"


def test_an_agents_file_that_nobody_reads_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/explainer.yaml").write_text("agent: explainer\nlog_prompts: false\n")

    fine, stray = doctor(tmp_path)["config"]

    assert (fine["status"], stray["status"]) == ("ok", "warn")
    assert stray["found"].startswith("config/explainer.yaml: this file is not read")


def test_being_turned_off_is_a_warning_that_names_the_switch(tmp_path: Path) -> None:
    found = doctor(tmp_path, MLFLOW_ENABLE_TRACING="false")["settings"][0]

    assert (found["status"], found["mend"]) == ("warn", "unset MLFLOW_ENABLE_TRACING")


def test_a_brand_that_is_rejected_fails(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tierlens.yaml").write_text("brands: [Kisqali]\nunknown_brand: reject\n")

    found = doctor(tmp_path, TIERLENS_BRAND="Kiskali")["brand"][0]

    assert (found["status"], found["mend"]) == ("fail", "use one of Kisqali")


def test_a_brand_that_goes_to_the_default_is_a_warning_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tierlens.yaml").write_text("brands: [Kisqali, Other]\ndefault_brand: Other\n")

    found = doctor(tmp_path, TIERLENS_BRAND="Kiskali")["brand"][0]

    assert (found["status"], found["mend"]) == ("warn", "use one of Kisqali, Other")
    assert found["found"].endswith("is not one of the brands: calls that name none go to the default, Other")


def test_spans_that_nobody_delivers_are_a_warning(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    found = doctor(tmp_path)["journal"][0]

    assert found["status"] == "warn"
    assert "6 spans wait, 0 processes write, 1 has ended; nobody delivers" in found["found"]
    assert found["mend"] == "`tierlens ship --once` delivers them"


def test_refused_spans_and_a_missing_sidecar_are_warnings(tmp_path: Path) -> None:
    recorded(tmp_path, "x")
    letters = tmp_path / JOURNAL / DEAD_LETTER
    letters.mkdir()
    (letters / "a-b.jsonl").write_text("{}\n{}\n")

    found = doctor(tmp_path, TIERLENS_SHIPPER="external")

    assert found["refused"][0]["found"].startswith("1 span in ")
    assert found["shipper"][0]["mend"] == "start `tierlens ship` beside the agent"


def test_what_the_quota_refuses_fails_with_how_much_since_when_and_what_to_raise(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={"service.name": "tests"}, quota_bytes=1 << 20)
    made = span(1, text="x" * 1_000)._replace(end_ns=int(BEGAN.timestamp() * 1e9))
    with contextlib.closing(journal):
        while not journal.counts().refused:
            with contextlib.suppress(JournalRefused):
                journal.append(made, ROOT)
        [now] = doctor(tmp_path, TIERLENS_JOURNAL_QUOTA_MB="1")["losses"]
    [later] = doctor(tmp_path, TIERLENS_JOURNAL_QUOTA_MB="1")["losses"]

    assert now["status"] == "fail"
    assert now["found"] == ("1 span was refused since 2026-11-22 03:47 UTC (quota: 1); the latest was refused too")
    assert now["mend"] == "raise TIERLENS_JOURNAL_QUOTA_MB (now 1), or have it delivered sooner"
    assert (later["status"], later["found"].endswith("(quota: 1)")) == ("warn", True)


def test_a_journal_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, where the journal's folder should be")

    assert doctor(tmp_path)["journal"][0]["status"] == "fail"


@needs_setpriv
def test_a_journal_of_somebody_elses_fails_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    closed = tmp_path / "theirs"
    (closed / "journal").mkdir(parents=True)
    closed.chmod(0)
    environ = {**os.environ, "TIERLENS_JOURNAL_DIR": str(closed / "journal"), "MLFLOW_TRACKING_URI": NOWHERE}
    command = [*WITHOUT_RIGHTS, sys.executable, "-m", "tierlens", "doctor", "--json"]

    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    closed.chmod(0o700)
    assert ran.returncode == 1
    found = findings(Ran(ran.returncode, ran.stdout, ran.stderr))
    assert found["journal"][0]["found"] == f"{closed / 'journal'} cannot be read: Permission denied"
    assert found["server"]


def test_a_journal_larger_than_its_disk_fails_or_warns(tmp_path: Path) -> None:
    found = doctor(tmp_path, TIERLENS_JOURNAL_QUOTA_MB=str(1 << 30))["disk"][0]
    assert (found["status"], found["mend"]) == ("warn", "lower TIERLENS_JOURNAL_QUOTA_MB, or make room")

    assert doctor(tmp_path, TIERLENS_SEGMENT_MB=str(1 << 30))["disk"][0]["status"] == "fail"


def test_a_database_is_looked_at_without_being_made(tmp_path: Path) -> None:
    found = findings(tierlens(tmp_path, "doctor", "--json"))

    assert found["database"][0]["found"] == "mlflow.db will be made at the first delivery"
    assert not (tmp_path / "mlflow.db").exists()
    assert "process" in found["shipper"][0]["found"]


@pytest.mark.postgres
def test_an_empty_database_stays_empty(tmp_path: Path) -> None:
    postgres = Postgres(tmp_path / "postgres")
    uri = postgres.start()
    try:
        [found] = doctor(tmp_path, uri)["database"]
        for command in (("costs",), ("journal", "incomplete"), ("forget", "--user", "ana")):
            ran = tierlens(tmp_path, *command, MLFLOW_TRACKING_URI=uri)
            assert ran.code == 1
            assert "has no tables yet: the first delivery makes them" in ran.out + ran.err
        assert tables_of(uri) == set()
    finally:
        postgres.stop()

    assert found["status"] == "ok"
    assert found["found"].endswith("is empty; the first delivery makes its tables")


def test_a_database_of_an_older_mlflow_is_not_upgraded_by_looking_at_it(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as older:
        older.execute("CREATE TABLE experiments (experiment_id INTEGER)")

    [found] = doctor(tmp_path, "sqlite:///mlflow.db")["database"]
    ran = tierlens(tmp_path, "costs", MLFLOW_TRACKING_URI="sqlite:///mlflow.db")

    assert found["status"] == "fail"
    assert "is an older MLflow's: back it up, then `mlflow db upgrade`" in found["found"]
    assert (ran.code, "is an older MLflow's" in ran.err) == (1, True)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as older:
        assert older.execute("SELECT name FROM sqlite_master").fetchall() == [("experiments",)]


def test_what_is_wrong_with_the_second_destination_is_what_is_to_be_set(tmp_path: Path) -> None:
    [found] = doctor(tmp_path, OTEL_EXPORTER_OTLP_HEADERS="foo")["destination"]

    assert (found["status"], found["mend"]) == ("fail", "set OTEL_EXPORTER_OTLP_HEADERS right")


def test_a_clock_that_is_wrong_is_a_warning() -> None:
    date = "Sat, 01 Jan 2000 00:00:00 GMT"

    assert [finding.status for finding in clock(date, 946_684_805.0)] == ["ok"]
    assert [(finding.status, finding.found) for finding in clock(date, 946_684_740.0)] == [
        ("warn", "60 s behind the server's")
    ]
    assert list(clock("yesterday", 0.0)) == []


def test_a_user_who_may_make_no_experiments_is_warned(tmp_path: Path) -> None:
    there = Reply(body=b'{"experiment": {"experiment_id": "0", "lifecycle_stage": "active"}}')
    with HttpStub(Reply(body=b"3.17.2"), there, Reply(403), otherwise=there) as server:
        found = doctor(tmp_path, server.uri)["permissions"][0]

    assert found["status"] == "warn"
    assert "let this user read and make experiments" in found["mend"]


class Choosy(HttpStub):
    """Tells its version, says yes to what begins like ``but``, and answers all else with a refusal."""

    def __init__(self, refusal: int, but: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._refusal, self._but = Reply(refusal, body=b'{"message": "who is there?"}'), but

    def reply_to(self, request: Recorded) -> Reply:
        if request.path == "/version":
            return Reply(body=b"3.17.2")
        there = Reply(body=b'{"experiment": {"experiment_id": "0", "lifecycle_stage": "active"}}')
        if request.path.endswith("/create"):
            there = Reply(400, body=b'{"error_code": "RESOURCE_ALREADY_EXISTS"}')
        return there if request.path.startswith(self._but) else self._refusal


EXPERIMENTS = ("/api/2.0/mlflow/experiments/",)


@pytest.mark.parametrize("but", [(), EXPERIMENTS])
def test_a_server_that_refuses_only_some_calls_fails_with_the_credentials_to_set(
    tmp_path: Path, but: tuple[str, ...]
) -> None:
    with Choosy(401, but) as server:
        checks = doctor(tmp_path, server.uri)

    [failed] = (one for kind in checks.values() for one in kind if one["status"] == "fail")
    assert failed["found"] == f"{server.uri} tells its version, and refuses what delivery asks for: 401: who is there?"
    assert failed["mend"].startswith("set MLFLOW_TRACKING_TOKEN, or ")


def test_an_experiment_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    with Choosy(403, EXPERIMENTS) as server:
        checks = doctor(tmp_path, server.uri)

    [found] = checks["experiment"]
    assert (found["status"], found["mend"]) == ("fail", "let this user read, make and write to the experiments")
    assert found["found"] == "tierlens/default: its spans are refused: 403: who is there?"
    assert checks["permissions"][0]["status"] == "ok"


@pytest.mark.server
def test_a_server_is_asked_whether_it_takes_spans_by_a_request_without_any(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    mlflow_server.post("/api/2.0/mlflow/experiments/create", {"name": experiment})

    found = doctor(tmp_path, mlflow_server.uri, MLFLOW_EXPERIMENT_NAME=experiment)["experiment"][0]

    assert found["status"] == "ok"
    assert mlflow_server.trace_ids(experiment) == set()


def test_a_database_that_refuses_connections_is_told_of_within_seconds(tmp_path: Path) -> None:
    where, started = f"127.0.0.1:{free_port('127.0.0.1', 0)}/mlflow", time.monotonic()

    [found] = doctor(tmp_path, f"postgresql://me:secret@{where}")["database"]

    assert time.monotonic() - started < 30, "MLflow itself would ask for nearly two minutes"
    assert (found["status"], found["mend"]) == ("fail", "start it, or set MLFLOW_TRACKING_URI")
    assert found["found"].startswith(f"postgresql://{where}: ")


def test_a_second_destination_that_is_down_is_a_warning(tmp_path: Path) -> None:
    found = doctor(tmp_path, TIERLENS_OTLP_ENDPOINT=f"{NOWHERE}/v1/traces")["OTLP endpoint"][0]

    assert found["status"] == "warn"


@pytest.mark.parametrize(
    ("returned", "status", "found"),
    [
        ("text.replace('Jane Miller', '[name]')", "ok", "Dr. [name] (jane.miller@example.org"),
        ("text", "warn", "leaves a name, an address and a number as they are"),
        ("text[1_000]", "fail", "which becomes [redacted:failed]"),
    ],
)
def test_a_redactor_is_tried_on_a_sentence(tmp_path: Path, returned: str, status: str, found: str) -> None:
    (tmp_path / "rules.py").write_text(f"def hide(text: str) -> str:\n    return {returned}\n")

    [told] = doctor(tmp_path, TIERLENS_SHIP_REDACTOR="rules:hide")["redactor"]

    assert (told["status"], found in told["found"]) == (status, True)


def test_a_redactor_that_cannot_be_had_fails_with_what_is_wrong(tmp_path: Path) -> None:
    [told] = doctor(tmp_path, TIERLENS_SHIP_REDACTOR="rules:hide")["redactor"]

    assert (told["status"], "No module named 'rules'" in told["found"]) == ("fail", True)
    assert "redactor" not in doctor(tmp_path)


def test_metrics_are_looked_at_where_they_are_asked_for(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", 0)
    with HttpStub() as receiver, socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"{receiver.uri}/v1/metrics"
        free = doctor(tmp_path, TIERLENS_METRICS_PORT=str(port), OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint)
        other = doctor(tmp_path, TIERLENS_METRICS_PORT=str(taken.getsockname()[1]))
    down = doctor(tmp_path, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{NOWHERE}/v1/metrics")

    assert [one["found"] for one in free["metrics"]] == [
        f"127.0.0.1:{port} is free for whoever delivers",
        f"{endpoint} answers 200",
    ]
    assert [one["status"] for one in (*other["metrics"], *down["metrics"])] == ["warn", "warn"]
    assert other["metrics"][0]["mend"] == "set TIERLENS_METRICS_PORT to a free one"
    assert "metrics" not in doctor(tmp_path)


def test_metrics_that_are_offered_are_found(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", 0)
    tally = open_tally(MetricsPlan(port), tmp_path, PUBLISHED)
    try:
        found = doctor(tmp_path, TIERLENS_METRICS_PORT=str(port))["metrics"]
    finally:
        tally.close()

    assert found[0]["found"] == f"offered on http://127.0.0.1:{port}/metrics"


def test_an_address_that_is_none_fails(tmp_path: Path) -> None:
    assert doctor(tmp_path, "databricks")["destination"][0]["status"] == "fail"


def test_the_json_is_whole(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "doctor", "--json", MLFLOW_TRACKING_URI=NOWHERE)

    assert ran.code == 1
    assert not json.loads(ran.out)["ok"]
    assert {"subject", "status", "found", "mend"} == set(ran.json["checks"][0])
