from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shipping.agents import no_shipper_left
from tierlens.testing.mlflow_stub import MlflowStub


@pytest.fixture
def mlflow() -> Iterator[MlflowStub]:
    with MlflowStub() as stub:
        yield stub


@pytest.fixture
def environ(tmp_path: Path, mlflow: MlflowStub) -> Iterator[dict[str, str]]:
    """Of a host whose agents have their spans delivered by the default shipper."""
    (tmp_path / "app.py").write_text(
        """import tierlens

@tierlens.span("work")
def work(number: int) -> int:
    return number + 1
"""
    )
    with no_shipper_left(tmp_path / "journal"):
        yield {
            **{name: value for name, value in os.environ.items() if name != "TIERLENS_SHIPPER"},
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal"),
            "PYTHONPATH": os.pathsep.join((str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep))),
        }
