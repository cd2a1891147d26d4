from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import psutil
import pytest
import typer
from typer.testing import CliRunner

from tierlens.cli.up import ui, up

APP = typer.Typer()
APP.command()(up)
APP.command()(ui)
PROGRAM = "import typer; from tierlens.cli.up import up; typer.run(up)"
PATIENCE_S = 120


@pytest.mark.server
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_told_to_stop_and_leaves_no_process(tmp_path, told):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--data", str(tmp_path / "new"), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    uri = next(m[0] for line in process.stdout if (m := re.search(r"http://\S+", line)))
    children = psutil.Process(process.pid).children(recursive=True)
    assert httpx.get(f"{uri}/health").text == "OK"
    assert "<title>MLflow</title>" in httpx.get(uri).text

    process.send_signal(told)

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "The data stays in" in output
    assert not psutil.wait_procs(children, PATIENCE_S)[1]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{uri}/health")


@pytest.mark.server
def test_a_killed_up_leaves_no_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--data", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    next(line for line in process.stdout if "MLflow is up" in line)
    children = psutil.Process(process.pid).children(recursive=True)

    process.kill()

    process.communicate(timeout=PATIENCE_S)
    assert children
    assert not psutil.wait_procs(children, PATIENCE_S)[1]


@pytest.mark.server
def test_a_server_that_dies_ends_up_with_an_error(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--data", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    next(line for line in process.stdout if "MLflow is up" in line)

    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()

    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "MLflow ended by itself" in errors


def test_ui_wants_a_folder_with_data(tmp_path):
    result = CliRunner().invoke(APP, ["ui", str(tmp_path)])

    assert result.exit_code == 1
    assert "holds no mlflow.db" in result.output


def test_a_port_that_cannot_be_had_is_told_without_a_traceback(tmp_path):
    result = CliRunner().invoke(APP, ["up", "--data", str(tmp_path), "--host", "192.0.2.1"])

    assert result.exit_code == 1
    assert "is no address of this machine" in result.output


@pytest.mark.parametrize("command", ["up", "ui"])
def test_help_shows_examples(command):
    result = CliRunner().invoke(APP, [command, "--help"])

    assert result.exit_code == 0
    assert "Examples" in result.output
    assert f"tierlens {command} " in result.output
