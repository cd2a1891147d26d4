"""What agents, those who talk to them and servers say cannot steer a terminal, nor pass for a table's markup."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from tests.cli.journals import JOURNAL
from tests.cli.running import tierlens
from tests.journal.spans import ROOT, span
from tierlens.journal.codec import decode, encode
from tierlens.journal.writer import Journal
from tierlens.shipping.deadletter import DeadLetters, Letter
from tierlens.testing.http_stub import HttpStub, Reply

HOSTILE = "[red]x[/] \x1b[2J\x1b]0;title\x07 \x9b31m \u202etxt.exe {0.__class__} %s%n \r\n\x00 \x7f <script>"
SHOWN = "[red]x[/]"
COMMANDS = [
    ("tail", "--once"),
    ("journal", "tail"),
    ("journal", "deadletter", "list"),
    ("journal", "deadletter", "show", "0"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One whose journal and dead letters are full of it."""
    made = span(1)._replace(
        name=HOSTILE,
        status="ERROR",
        message=HOSTILE,
        attributes={HOSTILE: HOSTILE, "mlflow.spanType": HOSTILE, "mlflow.spanInputs": HOSTILE},
    )
    journal = Journal(tmp_path / JOURNAL, resource={})
    journal.append(made, ROOT._replace(experiment=HOSTILE, brand=HOSTILE))
    journal.close()
    line = decode(encode(made, ROOT._replace(experiment=HOSTILE), b"{}").rstrip(b"\n"))
    letter = Letter("rejected", 422, HOSTILE, 1, 1, 1, final=False, writer=HOSTILE)
    DeadLetters(tmp_path / JOURNAL).put(line, letter)
    return tmp_path


def acted_on(text: str) -> set[str]:
    """What of a text a terminal would act on."""
    return {letter for letter in text if not (letter.isprintable() or letter == "\n")}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_that_a_terminal_acts_on_is_printed_and_no_markup_is_lost(
    project: Path, command: tuple[str, ...]
) -> None:
    ran = tierlens(project, *command)

    assert ran.code == 0
    assert acted_on(ran.out + ran.err) == set()
    assert SHOWN in ran.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_json_says_it_all_and_nothing_that_a_terminal_acts_on(project: Path, command: tuple[str, ...]) -> None:
    ran = tierlens(project, *command, "--json")

    assert acted_on(ran.out) == set()
    assert json.dumps(HOSTILE)[1:-1] in json.dumps(json.loads(ran.out))


def test_what_a_server_says_is_printed_without_it_too(project: Path) -> None:
    with HttpStub(otherwise=Reply(400, body=json.dumps({"message": HOSTILE}).encode())) as stub:
        ran = tierlens(project, "journal", "incomplete", MLFLOW_TRACKING_URI=stub.uri)
        asked = tierlens(project, "doctor", MLFLOW_TRACKING_URI=stub.uri)

    assert SHOWN in ran.err
    assert acted_on(ran.err + asked.out + asked.err) == set()


def test_a_bad_file_is_quoted_without_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tierlens.yaml").write_text('"[red]\\e[2J": 1\n')

    ran = tierlens(tmp_path, "check")

    assert ran.code == 1
    assert "[red]" in ran.out
    assert acted_on(ran.out + ran.err) == set()


@pytest.mark.parametrize("where", ["TIERLENS_OTLP_ENDPOINT", "MLFLOW_TRACKING_URI"])
def test_a_diagnosis_ends_though_an_answer_does_not(tmp_path: Path, where: str) -> None:
    began = time.monotonic()
    with HttpStub(otherwise=Reply(pieces=itertools.repeat(b"x" * 65_536))) as stub:
        address = {"TIERLENS_OTLP_ENDPOINT": stub.uri, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", where: stub.uri}
        ran = tierlens(tmp_path, "doctor", **address)

    assert "does not answer like MLflow" in ran.out or "answers 200" in ran.out
    assert time.monotonic() - began < 60
