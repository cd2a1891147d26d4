"""Commands that read MLflow say within seconds that they cannot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.journals import recorded
from tests.cli.running import Ran, tierlens
from tierlens.local.ports import free_port
from tierlens.testing.http_stub import HttpStub, Reply

COMMANDS = [("costs",), ("agents", "list"), ("agents", "history", "planner")]
LONGEST_S = 30
"""Mostly what Python takes to start on a busy machine. MLflow's own client would go on for minutes."""


def asked(folder: Path, *arguments: str, uri: str) -> Ran:
    started = time.monotonic()
    ran = tierlens(folder, *arguments, MLFLOW_TRACKING_URI=uri)
    assert time.monotonic() - started < LONGEST_S
    assert (ran.code, ran.out) == (1, "")
    return ran


@pytest.mark.parametrize("arguments", [*COMMANDS, ("journal", "incomplete")])
def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    where = f"127.0.0.1:{free_port('127.0.0.1', 0)}"

    said = asked(tmp_path, *arguments, uri=f"http://me:secret@{where}").err

    mend = "start it (`tierlens up`), or set MLFLOW_TRACKING_URI"
    assert said == f"tierlens: MLflow cannot be asked: http://{where}: Connection refused; {mend}\n"


@pytest.mark.parametrize("arguments", [*COMMANDS, ("agents", "diff", "planner", "b4"), ("journal", "incomplete")])
def test_a_database_that_is_not_there_is_named_and_not_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = tierlens(tmp_path, *arguments)

    missing = f"sqlite:///mlflow.db is not there (no file {tmp_path}/mlflow.db)"
    mend = "start it (`tierlens up`), or set MLFLOW_TRACKING_URI"
    assert (ran.code, ran.out, ran.err) == (1, "", f"tierlens: MLflow cannot be asked: {missing}; {mend}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_with_a_database_that_is_not_there_is_none(tmp_path: Path) -> None:
    recorded(tmp_path, "x")

    ran = tierlens(tmp_path, "journal", "verify")

    assert (ran.code, "sqlite:///mlflow.db is not there" in ran.err) == (1, True)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("arguments", [*COMMANDS, ("forget", "--user", "x")])
def test_a_database_that_refuses_connections_is_named_without_its_password(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    where = f"127.0.0.1:{free_port('127.0.0.1', 0)}/mlflow"
    started = time.monotonic()

    ran = tierlens(tmp_path, *arguments, MLFLOW_TRACKING_URI=f"postgresql://me:secret@{where}")

    assert time.monotonic() - started < LONGEST_S
    assert ran.code == 1
    assert f"postgresql://{where}: " in ran.out + ran.err
    assert "Connection refused" in ran.out + ran.err
    assert "secret" not in ran.out + ran.err


@pytest.mark.parametrize("arguments", [COMMANDS[0], ("forget", "--user", "x")])
def test_what_is_no_address_of_an_mlflow_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = tierlens(tmp_path, *arguments, MLFLOW_TRACKING_URI="./mlruns")

    assert (ran.code, ran.out) == (2, "")
    assert "MLFLOW_TRACKING_URI: './mlruns' is a folder" in ran.err


@pytest.mark.parametrize("arguments", COMMANDS[:2])
def test_a_proxy_without_a_server_behind_it_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with HttpStub(otherwise=Reply(503)) as proxy:
        said = asked(tmp_path, *arguments, uri=proxy.uri).err

    assert f"{proxy.uri} answers 503; start it" in said


@pytest.mark.parametrize("arguments", [*COMMANDS[:2], ("journal", "incomplete")])
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, body=b'{"message": "who is there?"}'), "401: who is there?; set MLFLOW_TRACKING_TOKEN, or "),
        (Reply(404, body=b"no such page"), "404: no such page; set MLFLOW_TRACKING_URI to the address of an MLflow "),
        (Reply(body=b"<html>Log in</html>"), "answers with a web page: not the server, or a log-in stands before it"),
    ],
)
def test_a_refusal_is_told_with_what_to_set(
    tmp_path: Path, arguments: tuple[str, ...], reply: Reply, said: str
) -> None:
    with HttpStub(otherwise=reply) as server:
        told = asked(tmp_path, *arguments, uri=server.uri).err

    assert told.startswith("tierlens: MLflow refuses to be asked: ")
    assert said in told


@pytest.mark.parametrize("arguments", COMMANDS[:2])
def test_a_server_that_goes_away_meanwhile_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with HttpStub(Reply(), otherwise=Reply(503)) as server:
        said = asked(tmp_path, *arguments, uri=server.uri).err

    assert said.startswith("tierlens: MLflow ")
    assert "cannot be asked: " in said
    assert server.uri in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", COMMANDS[:2])
def test_an_otlp_endpoint_cannot_be_asked(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said = asked(tmp_path, *arguments, uri="otlp+http://127.0.0.1:4318").err

    assert "MLFLOW_TRACKING_URI is an OTLP endpoint" in said
    assert "set it to the MLflow server or database" in said
