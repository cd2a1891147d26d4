"""What a shipping process is started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tierlens.shipping.hosts.spawn import beginnings, interpreter

SETTINGS = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_TRACKING_TOKEN": "hush", "HOME": "/home/a"}


@pytest.mark.parametrize("name", ["python", "python3.13", "Python", "pypy3", "graalpy", ".python-wrapped"])
def test_a_python_is_known_by_its_name(name: str) -> None:
    assert interpreter(f"/somewhere/bin/{name}") == f"/somewhere/bin/{name}"


@pytest.mark.parametrize("name", ["uwsgi", "my-frozen-app", "blender"])
def test_another_program_is_never_taken_for_a_python(name: str) -> None:
    with pytest.raises(OSError, match="not run by a Python interpreter"):
        interpreter((name and f"/somewhere/bin/{name}") or "not-a-python")


def test_modules_are_found_where_the_host_finds_them(tmp_path: Path) -> None:
    begin = beginnings(SETTINGS, path=["", "lib", "/usr/lib/python3"])

    here = Path.cwd()
    assert begin.folder == here
    assert begin.environment["PYTHONPATH"].split(os.pathsep) == [str(here), str(here / "lib"), "/usr/lib/python3"]


def test_what_would_keep_a_child_from_shipping_is_not_handed_on() -> None:
    begin = beginnings({**SETTINGS, "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONHASHSEED": "0"})

    assert begin.environment.keys() & {"PYTHONINSPECT", "PYTHONWARNINGS"} == set()
    assert begin.environment["PYTHONHASHSEED"] == "0"


@pytest.mark.parametrize(
    "changed",
    [
        {"MLFLOW_TRACKING_URI": "http://mlflow:5001"},
        {"MLFLOW_TRACKING_TOKEN": "renewed"},
        {"MLFLOW_ARTIFACT_LOCATION": "s3://bucket"},
        {"MLFLOW_WORKSPACE": "b"},
        {"TIERLENS_OTLP_ENDPOINT": "http://collector:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "key=1"},
        {"TIERLENS_METRICS_PORT": "9464"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"},
    ],
)
def test_another_place_or_other_credentials_are_another_destination(changed: dict[str, str]) -> None:
    assert beginnings(SETTINGS | changed).destination != beginnings(SETTINGS).destination


def test_an_upgrade_is_another_destination() -> None:
    assert beginnings(SETTINGS, "1.1").destination != beginnings(SETTINGS, "1.0").destination


def test_what_delivery_does_not_depend_on_makes_no_other_destination() -> None:
    other = SETTINGS | {"HOME": "/home/b", "TIERLENS_BRAND": "Kisqali"}

    assert beginnings(other, path=["/elsewhere"]).destination == beginnings(SETTINGS).destination
    assert "hush" not in beginnings(SETTINGS).destination


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("tierlens.shipping.hosts.process", "httpx tierlens.sinks tierlens.shipping.shipper"),
        (
            "tierlens.shipping.hosts.child tierlens.shipping.hosts.run tierlens.sinks.configured",
            "langchain_core mlflow pydantic typer",
        ),
    ],
)
def test_neither_side_imports_what_the_other_needs(modules: str, heavy: str) -> None:
    code = f"import sys, {', '.join(modules.split())}; print(set({heavy.split()}) & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "set()"
