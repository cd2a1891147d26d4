"""What is planted in any place that a span can carry text is in no file of the journal, and not in MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StoredMlflow
from tests.privacy.places import Places
from tests.privacy.planted import planted, where
from tierlens.errors import Rejected
from tierlens.journal.segment import BLOBS, DEAD_LETTER
from tierlens.shipping.hosts.run import run_once
from tierlens.shipping.limits import Limits
from tierlens.testing import FlakySink, MemorySink

Start = Callable[..., Places]
TEXTS = [one.text for one in planted()]
VALUES = [one.value for one in planted()]
# So many texts share the places of one run.
A_RUN = 7
NOT_STORED = 8


def written(folder: Path) -> str:
    """All that lies in a folder, files' names included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return "\n".join(f"{path.name}\n{path.read_bytes().decode('utf-8', 'replace')}" for path in files)


def leaks(text: str) -> list[tuple[str, str]]:
    """Values that stand in a text, with what is around them."""
    return [(value, around) for value in VALUES if (around := where(value, text)) is not None]


def test_none_of_five_hundred_values_is_in_the_journal(places: Start, tmp_path: Path) -> None:
    filled = places(shipper="external")
    for first in range(0, len(TEXTS), A_RUN):
        filled.fill(TEXTS[first : first + A_RUN])

    text = written(tmp_path / "journal")
    assert filled.count >= 4_000
    assert len(text) > 1_500_000
    assert text.count("[redacted:") >= filled.count / 2
    assert leaks(text) == []


def test_the_same_places_do_leak_without_rules(places: Start, tmp_path: Path, config_dir: Path) -> None:
    (config_dir / "tierlens.yaml").write_text("app: private\n")
    filled = places(shipper="external")
    filled.fill([f"needle-{number:04}-haystack" for number in range(100)])

    text = written(tmp_path / "journal")
    found = [number for number in range(filled.count) if f"needle-{number:04}-hay" in text]
    # The metadata of nodes and of the run and its tags are not stored.
    assert len(found) >= filled.count - NOT_STORED, sorted(set(range(filled.count)) - set(found))


def test_start_records_hold_none(places: Start, tmp_path: Path) -> None:
    def wait_for_records() -> None:
        until = time.monotonic() + 30
        while '"kind":"start"' not in written(tmp_path / "journal") and time.monotonic() < until:
            time.sleep(0.01)

    places(wait_for_records, shipper="external").fill(TEXTS[:20])

    text = written(tmp_path / "journal")
    assert '"kind":"start"' in text
    assert leaks(text) == []


def test_dead_letters_and_files_hold_none(places: Start, tmp_path: Path) -> None:
    filled = places(shipper="external")
    for first in range(0, 120, 20):
        filled.fill(TEXTS[first : first + 20])
    journal = tmp_path / "journal"
    filled.lens.close()
    sink = FlakySink(MemorySink(), [Rejected(f"refused: {number}", 400) for number in range(400)])
    run_once(journal, sink, limits=Limits(letter_tries=1), patience_s=0.2)

    assert any((journal / DEAD_LETTER).iterdir())
    assert any((journal / BLOBS).iterdir())
    assert leaks(written(journal)) == []


@pytest.mark.server
def test_mlflow_holds_none(places: Start, mlflow_server: StoredMlflow, experiment: str) -> None:
    filled = places(tracking_uri=mlflow_server.uri, mlflow_experiment=experiment, shipper="thread")
    for first in range(0, len(TEXTS), 20):
        filled.fill(TEXTS[first : first + 20])
    report = filled.lens.flush(timeout_s=60)

    found = mlflow_server.trace_ids(f"{experiment}/Kisqali")
    assert report.pending == 0
    assert len(found) >= 2 * len(TEXTS) // 20
    stored = [json.dumps([mlflow_server.trace(one), mlflow_server.spans(one)]) for one in sorted(found)]
    assert sum(map(len, stored)) > 500_000
    assert leaks("\n".join(stored)) == []
