from __future__ import annotations

import time
from pathlib import Path

import pytest

from tierlens.addresses import is_database, shown
from tierlens.errors import Unavailable
from tierlens.local.ports import free_port
from tierlens.sinks.databases import artifact_root, must_answer, sqlite_file
from tierlens.sinks.mlflow_store import StoreBackend


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("http://me:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql://me:sec@ret@host/db", "postgresql://host/db"),
        ("postgresql:///db?host=/run/x&password=secret&user=me", "postgresql:///db?host=/run/x&password=***&user=me"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("./mlruns", "./mlruns"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, seen: str) -> None:
    assert shown(address) == seen


def test_an_sqlite_address_names_a_file_or_none(tmp_path: Path) -> None:
    assert sqlite_file(f"sqlite:///{tmp_path}/mlflow.db?timeout=5") == tmp_path / "mlflow.db"
    assert sqlite_file("sqlite+pysqlite:///mlflow.db") == Path("mlflow.db")
    for nowhere in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:x.db?mode=ro&uri=true", "postgresql:///db"):
        assert sqlite_file(nowhere) is None


def test_artifacts_lie_beside_an_sqlite_file(tmp_path: Path) -> None:
    assert artifact_root(f"sqlite:///{tmp_path}/mlflow.db") == str(tmp_path / "artifacts")
    assert artifact_root("postgresql://host/db").endswith("mlartifacts")


def test_only_what_mlflow_runs_on_is_a_database() -> None:
    assert is_database("mysql+pymysql://host/db")
    assert not any(map(is_database, ("http://host", "otlp+http://host", "sqlite", "oracle://host/db")))


def test_a_file_that_is_not_there_is_made_only_where_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"

    must_answer(f"sqlite:///{path}")
    with pytest.raises(Unavailable, match="is not there"):
        must_answer(f"sqlite:///{path}", made=False)
    with pytest.raises(Unavailable, match="is not there"):
        StoreBackend(f"sqlite:///{path}", made=False).experiment_named("Default")

    assert not path.exists()


def test_a_server_that_refuses_connections_is_told_of_within_seconds() -> None:
    port, started = free_port("127.0.0.1", 0), time.monotonic()

    with pytest.raises(Unavailable, match=f"postgresql://127.0.0.1:{port}/db: .*Connection refused"):
        StoreBackend(f"postgresql://me:secret@127.0.0.1:{port}/db").experiment_named("Default")

    # Mostly what Python takes to import MLflow. By itself that would ask for nearly two minutes.
    assert time.monotonic() - started < 30
