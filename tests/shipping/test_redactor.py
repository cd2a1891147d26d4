"""The real Presidio in the process that ships: what it finds never leaves the host, and the agent never imports it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tierlens.testing.mlflow_stub import MlflowStub

AGENT = """
import sys
import tierlens

lens = tierlens.init(shipper="process", ship_redactor="presidio", journal_dir="journal")

@tierlens.span
def answer(question):
    return "ask anna@example.org"

answer("Who is at +1 212-555-0187?")
report = lens.flush(timeout_s=60)
lens.close()
heavy = {"presidio_analyzer", "spacy"}
print(report.accepted, report.stored, sorted(heavy & set(sys.modules)))
"""


@pytest.mark.skipif(find_spec("presidio_analyzer") is None, reason="tierlens[presidio] is not installed")
def test_the_shipping_process_sends_what_presidio_has_read_and_the_agent_knows_nothing_of_it(tmp_path: Path) -> None:
    with MlflowStub() as stub:
        ran = subprocess.run(
            [sys.executable, "-c", AGENT],
            cwd=tmp_path,
            env={"PATH": "", "HOME": str(tmp_path), "MLFLOW_TRACKING_URI": stub.uri},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        sent = b"".join(request.body for request in stub.requests)

    assert ran.stdout == "1 1 []\n", ran.stderr
    assert b"[redacted:email_address]" in sent
    assert b"anna@example.org" not in sent
    assert b"212-555" not in sent
