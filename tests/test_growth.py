"""What a call of the reference graph takes of MLflow's database: a few bytes too many on a span, and SQLite gives it
one more page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tierlens
from tests.performance import database
from tests.performance.probes.bare import QUESTION
from tests.performance.reference import workload
from tierlens.shipping.hosts.run import run_once
from tierlens.sinks.mlflow_store import MlflowStoreSink

WARM_UP, CALLS = 10, 20
MOST_KB = 6.0


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[[int], int]:
    """Invokes the reference graph so often, delivers it, and says how many bytes the database then has."""
    graph, folder = workload.build(), tmp_path / "config"
    folder.mkdir()

    def invoke(count: int) -> int:
        journal = tmp_path / f"journal-{count}"
        lens = tierlens.init(journal_dir=journal, config_dir=folder, shipper="external")
        for _ in range(count):
            graph.invoke(QUESTION, {"callbacks": [lens.callback(brand="Kisqali")]})
        lens.close()
        sink = MlflowStoreSink(f"sqlite:///{tmp_path}/mlflow.db")
        assert run_once(journal, sink).drained
        sink.close()
        return database.size(tmp_path / "mlflow.db")

    return invoke


def test_a_model_call_takes_no_more_of_the_database_than_promised(
    deliver: Callable[[int], int], tmp_path: Path
) -> None:
    before = deliver(WARM_UP)
    grown = deliver(CALLS) - before

    assert database.stored(tmp_path / "mlflow.db").whole == WARM_UP + CALLS
    assert grown / 1024 / CALLS / len(workload.AGENTS) <= MOST_KB
