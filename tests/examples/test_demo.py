"""`make demo` as a user runs it: twice on one folder, interrupted, on a broken folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.brand_analytics.brands import BRANDS
from examples.brand_analytics.questions import QUESTIONS
from examples.brand_analytics.routes import AGENTS

ROOT = Path(__file__).parents[2]
MARK = "DEMO_TEST_MARK"
PATIENCE_S = 600  # 15 are enough, unless other tests have the machine

pytestmark = pytest.mark.server


class Demo:
    """Runs the demo on a folder and finds its processes, by a variable that they inherit."""

    def __init__(self, data: Path) -> None:
        self.data, self.mark = data, uuid.uuid4().hex

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
        return subprocess.Popen(
            [sys.executable, "-m", "examples.demo", "--data", str(self.data), *arguments],
            cwd=ROOT,
            env={**inherited, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self) -> dict[str, Any]:
        process = self.start("--json")
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        return json.loads(output)

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.data / "mlflow.db")) as database:
            return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "data")


@pytest.fixture(scope="module")
def port_5000_taken() -> Iterator[None]:
    with socket.socket() as listener:
        with contextlib.suppress(OSError):  # somebody else has it, which does as well
            listener.bind(("127.0.0.1", 5000))
            listener.listen()
        yield


@pytest.fixture(scope="module")
def first(demo: Demo, port_5000_taken: None) -> dict[str, Any]:
    return demo.run()


@pytest.fixture(scope="module")
def second(demo: Demo, first: dict[str, Any]) -> dict[str, Any]:
    return demo.run()


def test_every_question_of_the_three_brands_is_traced(first):
    asked = Counter(question.brand for question in QUESTIONS)
    rows = {row["brand"]: row for row in first["brands"]}
    assert tuple(rows) == BRANDS
    # A question that waits for a person is two traces.
    assert all(row["traces"] >= asked[brand] for brand, row in rows.items())
    assert all(row["cost_usd"] > 0 and 0 < row["p50_s"] <= row["p95_s"] for row in rows.values())


def test_all_eleven_agents_have_figures(first):
    assert {row["agent"] for row in first["agents"]} == set(AGENTS)
    assert all(row["calls"] and row["input_tokens"] and row["cost_usd"] for row in first["agents"])
    assert not any(row["errors"] for row in first["agents"])


def test_the_tokens_in_mlflow_are_those_of_the_endpoints_ledger(first, demo, second):
    for document in (first, second):
        assert document["tokens"]["difference"] == {"input": 0, "output": 0}
        for side in ("input", "output"):
            by_agent = sum(row[f"{side}_tokens"] for row in document["agents"])
            by_brand = sum(row[f"{side}_tokens"] for row in document["brands"])
            assert by_agent == by_brand == document["tokens"]["mlflow"][side] > 0
    totals = json.loads((demo.data / "claude-ledger.json").read_text())["totals"]
    assert totals["all_input_tokens"] == second["tokens"]["mlflow"]["input"]


def test_all_that_was_recorded_is_delivered(first):
    delivery = first["delivery"]
    assert delivery["accepted"] == delivery["stored"] > 100
    assert (delivery["pending"], delivery["refused"], first["faults"]) == (0, {}, [])


def test_a_second_run_adds_to_the_data_and_counts_its_own_traces_only(demo, first, second):
    assert [row["traces"] for row in second["brands"]] == [row["traces"] for row in first["brands"]]
    assert second["run"] != first["run"]
    ((stored,),) = demo.query("SELECT count(*) FROM trace_info")
    assert stored == 2 * sum(row["traces"] for row in first["brands"])


def test_no_trace_lies_in_another_brands_experiment(demo, second):
    places = demo.query(
        "SELECT DISTINCT tag.value, experiment.name FROM trace_tags tag"
        " JOIN trace_info trace ON trace.request_id = tag.request_id"
        " JOIN experiments experiment ON experiment.experiment_id = trace.experiment_id WHERE tag.key = 'brand'"
    )
    assert {brand: f"brand_analytics/{brand}" for brand in BRANDS} == dict(places)
    assert len(places) == len(BRANDS)


def test_the_links_lead_to_the_server_that_was_started_beside_the_taken_port(first):
    assert len(first["links"]) >= len(BRANDS) + 3
    assert all(url.startswith("http://127.0.0.1:") for url in first["links"].values())
    assert not any(":5000/" in url for url in first["links"].values())


def test_nothing_is_left_running(demo, second):
    assert demo.processes() == []
    assert not (demo.data / "server.json").exists()


def test_interrupted_it_leaves_nothing_running(tmp_path):
    demo = Demo(tmp_path / "data")
    process = demo.start()
    deadline = time.monotonic() + PATIENCE_S
    while not (demo.data / "claude-ledger.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)

    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert "nothing is left running" in output
    assert demo.processes() == []


def test_a_server_that_cannot_start_says_what_to_do(tmp_path):
    demo = Demo(tmp_path / "data")
    demo.data.mkdir()
    (demo.data / "mlflow.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)

    process = demo.start()

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "file is not a database" in output
    assert f"delete {demo.data}" in output
    assert demo.processes() == []
