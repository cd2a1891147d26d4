"""What this user may not look at is never taken for what is not there, on any Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rights import WITHOUT_RIGHTS, needs_setpriv
from tierlens import presence

RECORD = "import tierlens; tierlens.init(shipper='external'); print('recording')"
NOWHERE = "http://127.0.0.1:9"


def ran(folder: Path, closed: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder, while nobody but root may look into what is closed."""
    mode = closed.stat().st_mode
    closed.chmod(0)
    try:
        return subprocess.run(
            [*WITHOUT_RIGHTS, sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "MLFLOW_TRACKING_URI": NOWHERE, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        closed.chmod(mode)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder with the configuration of an agent that keeps its prompts to itself."""
    (tmp_path / "config/agents").mkdir(parents=True)
    (tmp_path / "config/tierlens.yaml").write_text("app: research\n")
    (tmp_path / "config/agents/analyst.yaml").write_text("agent: analyst\nlog_prompts: false\n")
    return tmp_path


@needs_setpriv
@pytest.mark.parametrize("named", [{}, {"TIERLENS_CONFIG_DIR": "config"}], ids=["by default", "named"])
@pytest.mark.parametrize("closed", ["config", "config/agents", "config/tierlens.yaml", "config/agents/analyst.yaml"])
def test_a_configuration_that_may_not_be_looked_at_stops_the_start(
    private: Path, closed: str, named: dict[str, str]
) -> None:
    where = {"TIERLENS_JOURNAL_DIR": str(private / "journal"), **named}

    found = ran(private, private / closed, "-c", RECORD, **where)

    assert "recording" not in found.stdout
    assert found.stderr.splitlines()[-1].startswith("tierlens.errors.")
    assert "Permission denied" in found.stderr.splitlines()[-1]


@needs_setpriv
def test_a_journal_that_may_not_be_looked_at_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "theirs/journal").mkdir(parents=True)
    journal = {"TIERLENS_JOURNAL_DIR": str(tmp_path / "theirs/journal")}

    found = ran(tmp_path, tmp_path / "theirs", "-m", "tierlens", "ship", "--once", **journal)

    assert found.returncode == 1
    assert "Permission denied" in found.stderr


def test_a_path_below_a_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert presence.is_file(tmp_path / "file")
    assert not presence.is_dir(tmp_path / "file")
    assert not presence.exists(tmp_path / "file/below")
    assert presence.is_dir(tmp_path)
