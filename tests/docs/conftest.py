from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.docs import commands
from tests.docs.pages import ROOT, Block
from tierlens.testing import ClaudeEndpoint

# What a page calls the reader's MLflow server.
SERVER = "http://localhost:5000"
_OURS = ("TIERLENS_", "MLFLOW_", "ANTHROPIC_", "OTEL_")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return commands.install(tmp_path_factory.mktemp("commands") / "bin")


@pytest.fixture
def follow(
    mlflow_server, endpoint: ClaudeEndpoint, stand_ins: Path, tmp_path: Path
) -> Callable[[Sequence[Block]], subprocess.CompletedProcess[str]]:
    """Do what a section says, in an empty folder, with a server and a Claude to talk to."""

    def run(section: Sequence[Block]) -> subprocess.CompletedProcess[str]:
        blocks = [
            {
                "where": block.where,
                "line": block.line,
                "language": block.language,
                "file": block.file,
                "text": block.text.replace(SERVER, mlflow_server.uri),
                "marks": dict(block.marks),
            }
            for block in section
        ]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            "MLFLOW_TRACKING_URI": mlflow_server.uri,
            "TIERLENS_SHIPPER": os.environ["TIERLENS_SHIPPER"],
            "ANTHROPIC_BASE_URL": endpoint.base_url,
            "ANTHROPIC_API_KEY": "offline",
            "PATH": f"{stand_ins}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [sys.executable, "-m", "tests.docs.notebook"],
            cwd=tmp_path,
            env=environment,
            input=json.dumps(blocks),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
