"""Programs of all kinds have their spans delivered by a shipping process, also after their own end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.journal.processes import eventually
from tests.shipping.agents import SLOW_START_S, no_shipper_left
from tierlens.testing.mlflow_stub import MlflowStub

HOST = """
    import os, sys, tierlens

    lens = tierlens.init()

    @tierlens.span("work")
    def work():
        return "done"

    work()
"""
# Killed right after its last span, but not before it has started anybody who ships: that is the next one's then.
KILLED = (
    HOST
    + """
    import time
    from pathlib import Path
    from tierlens.shipping import handover

    while handover.state(Path(os.environ["TIERLENS_JOURNAL_DIR"])) is None:
        time.sleep(0.01)
    work()
    os.kill(os.getpid(), 9)
"""
)
HOMELESS = """
    import os, tempfile
    home = tempfile.mkdtemp()
    os.chdir(home)
""" + HOST.replace("work()\n", "os.rmdir(home); work()\n").replace("def os.rmdir(home); work()", "def work()")
APP = (
    HOST
    + """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [work().encode()]
"""
)


@pytest.fixture
def mlflow() -> Iterator[MlflowStub]:
    with MlflowStub() as stub:
        yield stub


@pytest.fixture
def environ(tmp_path: Path, mlflow: MlflowStub) -> Iterator[dict[str, str]]:
    with no_shipper_left(tmp_path / "journal"):
        yield {
            **os.environ,
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal"),
            "TIERLENS_CONFIG_DIR": str(tmp_path),
            "TIERLENS_SHIPPER": "process",
        }


@pytest.mark.parametrize("program", [HOST, KILLED, HOMELESS], ids=["ended", "killed", "homeless"])
def test_a_programs_spans_arrive_however_it_ends(program: str, environ: dict[str, str], mlflow: MlflowStub) -> None:
    # Its output is read to the end: a shipping process that shared it would hold that up.
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (-9 if program is KILLED else 0, "", "")
    eventually(lambda: len(mlflow.spans) == (2 if program is KILLED else 1), seconds=SLOW_START_S)


def test_workers_of_a_server_that_was_loaded_before_they_were_forked_share_a_shipper(
    environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(textwrap.dedent(APP))
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", "127.0.0.1:0", "served:app"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            uri = next(found[1] for line in server.stderr if (found := re.search(r"at: (http://\S+)", line)))
            for _ in range(30):
                httpx.get(uri, trust_env=False).raise_for_status()
        finally:
            server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=60)[1]

    assert server.returncode == 0
    assert "tierlens" not in said
    eventually(lambda: len(mlflow.spans) == 31, seconds=SLOW_START_S)
