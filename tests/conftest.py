"""One real MLflow server for the whole run, and names that no other test uses."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from tierlens.local import MlflowServer, ServerPlan

# A deadline on a busy machine fails what is right; a fixed seed has every run try the same cases.
hypothesis.settings.register_profile("tierlens", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tierlens")

# A shipping process takes a moment to start, and outlives its test: those that are about it ask for one.
os.environ.setdefault("TIERLENS_SHIPPER", "thread")


class StoredMlflow:
    """What a running MLflow server holds, read back through its REST API."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = httpx.Client(base_url=uri, trust_env=False, timeout=60)

    def get(self, route: str, **params: object) -> dict[str, Any]:
        return self._client.get(route, params=params).raise_for_status().json()

    def raw(self, route: str, **params: object) -> bytes:
        return self._client.get(route, params=params).raise_for_status().content

    def post(self, path: str, body: object) -> dict[str, Any]:
        return self._client.post(path, json=body).raise_for_status().json()

    def trace(self, trace_id: str) -> dict[str, Any]:
        """The trace's info, by OpenTelemetry's 32 hex digits."""
        return self.get(f"/api/3.0/mlflow/traces/tr-{trace_id}")["trace"]["trace_info"]

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """The trace's spans, attributes as a dict of text."""
        answer = self.get("/api/3.0/mlflow/traces/get", trace_id=f"tr-{trace_id}", allow_partial="true")
        return [
            span | {"attributes": {a["key"]: _plain(a["value"]) for a in span.get("attributes", ())}}
            for span in answer["trace"].get("spans", ())
        ]

    def totals(self, trace_id: str) -> tuple[dict[str, int], dict[str, float]]:
        """Token usage and cost of the whole trace."""
        metadata = self.trace(trace_id).get("trace_metadata", {})
        return (
            json.loads(metadata.get("mlflow.trace.tokenUsage", "{}")),
            json.loads(metadata.get("mlflow.trace.cost", "{}")),
        )

    def experiment(self, name: str) -> dict[str, Any]:
        return self.get("/api/2.0/mlflow/experiments/get-by-name", experiment_name=name)["experiment"]

    def trace_ids(self, experiment: str) -> set[str]:
        """The ids, without ``tr-``, of all traces in an experiment."""
        body = {
            "locations": [
                {
                    "type": "MLFLOW_EXPERIMENT",
                    "mlflow_experiment": {"experiment_id": self.experiment(experiment)["experiment_id"]},
                }
            ],
            "max_results": 500,
        }
        found = self.post("/api/3.0/mlflow/traces/search", body)
        return {trace["trace_id"].removeprefix("tr-") for trace in found.get("traces", ())}

    def close(self) -> None:
        self._client.close()


def _plain(value: dict[str, Any]) -> Any:
    return next(iter(value.values()), None)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredMlflow]:
    """A real server on SQLite, started by the first worker that wants it and stopped by the last."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        plan = ServerPlan(tmp_path_factory.mktemp("mlflow"), port=0)
        with MlflowServer(plan) as server, contextlib.closing(StoredMlflow(server.uri)) as stored:
            yield stored
        return
    shared = tmp_path_factory.getbasetemp().parent
    with _shared_server(shared) as uri, contextlib.closing(StoredMlflow(uri)) as stored:
        yield stored


@contextlib.contextmanager
def _shared_server(shared: Path) -> Iterator[str]:
    """Whoever starts the server stops it, once nobody holds ``in-use`` any more."""
    server, note = None, shared / "mlflow-uri"
    with (shared / "mlflow-in-use").open("a") as in_use:
        with _locked(shared / "mlflow-starting"):
            if not note.exists():
                server = MlflowServer(ServerPlan(shared / f"mlflow-{uuid.uuid4().hex[:8]}", port=0)).start()
                note.write_text(server.uri)
            fcntl.flock(in_use, fcntl.LOCK_SH)
        yield note.read_text()
        if server is None:
            return
        with _locked(shared / "mlflow-starting"):
            fcntl.flock(in_use, fcntl.LOCK_EX)
            note.unlink()
            server.stop()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def experiment() -> str:
    """A name that no other test uses."""
    return f"test/{time.time_ns():x}-{uuid.uuid4().hex[:8]}"
