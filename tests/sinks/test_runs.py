"""Runs in a real MLflow: over HTTP, and in a database."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.journal.spans import START_NS
from tests.projection.invocations import CALL, line
from tests.sinks.traces import agent_trace, batch
from tierlens.errors import Rejected
from tierlens.projection.prices import PUBLISHED
from tierlens.projection.runs import RUN, record
from tierlens.sinks.base import Attached
from tierlens.sinks.mlflow import MlflowSink
from tierlens.sinks.mlflow_http import MlflowHttpSink, RestBackend
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.runs import RunBook
from tierlens.spans import Artifact

pytestmark = pytest.mark.server
WARM = (*CALL[:2], 0.9, *CALL[3:])


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('runs')}/mlflow.db"


@pytest.fixture(params=["over_http", "as_a_database"])
def sink(request, mlflow_server, database):
    server = request.param == "over_http"
    sink = MlflowHttpSink(mlflow_server.uri) if server else MlflowStoreSink(database)
    yield sink
    sink.close()


@pytest.fixture
def client(sink, mlflow_server, database):
    from mlflow import MlflowClient

    return MlflowClient(mlflow_server.uri if isinstance(sink, MlflowHttpSink) else database)


def invocations(count, experiment, **told):
    lines = [line(n, trace=n, experiment=experiment, start_ns=START_NS + n, **told) for n in range(1, count + 1)]
    return [record(one, PUBLISHED) for one in lines]


def stored(client, experiment):
    """Every run by its key: its status, params, and the points of every metric."""
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return {
        run.data.tags[RUN]: (
            run.info.status,
            run.data.params,
            {
                name: sorted((p.step, p.value) for p in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
            },
        )
        for run in found
    }


def test_a_version_is_one_run_in_which_each_invocation_is_a_step(sink, client, experiment):
    records = invocations(3, experiment)

    sink.log_runs(experiment, records)

    [(status, params, points)] = stored(client, experiment).values()
    assert status == "FINISHED"
    assert params == {
        "agent": "causal_impact",
        "tier": "2",
        "version": "b41939fc32d4",
        "model": "claude-sonnet-4-5",
        "temperature": "0.2",
        "max_tokens": "400",
    }
    assert points["input_tokens"] == [(1, 100.0), (2, 100.0), (3, 100.0)]
    assert points["latency_s"] == [(1, 1.5), (2, 1.5), (3, 1.5)]


@pytest.mark.parametrize("runs", ["per_version", "per_invocation"])
def test_what_is_sent_again_changes_nothing(sink, client, experiment, runs):
    records = invocations(3, experiment, runs=runs, metrics={"verdict": "uplift"})
    sink.log_runs(experiment, records)
    before = stored(client, experiment)

    for again in (records, records[:2], records[::-1]):
        MlflowSink(sink._backend).log_runs(experiment, again)

    assert stored(client, experiment) == before


def test_a_model_that_is_asked_otherwise_is_a_run_of_its_own(sink, client, experiment):
    first, second, silent = (invocations(2, experiment, calls=calls) for calls in ((CALL,), (WARM,), ()))

    for records in (silent[:1], first, second, silent[1:], second):
        MlflowSink(sink._backend).log_runs(experiment, records)

    runs = {params["temperature"]: points for _, params, points in stored(client, experiment).values()}
    assert runs.keys() == {"0.2", "0.9"}
    assert [len(runs[temperature]["model_calls"]) for temperature in ("0.2", "0.9")] == [2, 2]


class LooksTogether(RestBackend):
    """Whose first look for runs is over only once somebody else's is."""

    def __init__(self, channel, together):
        super().__init__(channel)
        self._wait = together.wait

    def find_runs(self, experiment_id, condition):
        found = super().find_runs(experiment_id, condition)
        self._wait()
        self._wait = lambda: None
        return found


def test_of_two_who_make_a_run_at_once_one_gives_way(mlflow_server, experiment):
    sink = MlflowHttpSink(mlflow_server.uri)
    experiment_id = sink._experiments.id_of(experiment)
    together = threading.Barrier(2, timeout=30)
    records = invocations(4, experiment)
    backends = [LooksTogether(sink._backend._channel, together) for _ in range(2)]
    books = [RunBook(backend, sleep=lambda _: together.wait()) for backend in backends]

    def log(book, some):
        try:
            book.log(experiment_id, some)
        except Rejected:  # two writers of one run's params can meet in MLflow; a shipper tries again
            book.log(experiment_id, some)

    threads = [
        threading.Thread(target=log, args=(book, some))
        for book, some in zip(books, (records[:2], records[2:]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    from mlflow import MlflowClient

    [(_, _, points)] = stored(MlflowClient(mlflow_server.uri), experiment).values()
    assert len(points["model_calls"]) == 4


def test_a_run_that_somebody_deleted_is_made_anew(sink, client, experiment):
    records = invocations(2, experiment)
    sink.log_runs(experiment, records[:1])
    [run] = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    client.delete_run(run.info.run_id)

    sink.log_runs(experiment, records[1:])

    [(_, _, points)] = stored(client, experiment).values()
    assert len(points["model_calls"]) == 1


@pytest.mark.parametrize("root_first", [True, False])
def test_by_invocation_agents_runs_lie_in_the_graphs(sink, client, experiment, root_first):
    told = {"runs": "per_invocation", "experiment": experiment}
    root = record(line(9, root=True, agent="brand_analytics", calls=(), inner=(CALL, CALL), **told), PUBLISHED)
    agents = [
        record(line(n, agent=f"agent-{n}", outcome=how, **told), PUBLISHED) for n, how in ((1, "ok"), (2, "error"))
    ]

    for records in ([root], agents) if root_first else (agents, [root]):
        sink.log_runs(experiment, records)

    runs = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    }
    parent = runs.pop("brand_analytics")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert {name: run.info.status for name, run in runs.items()} == {"agent-1": "FINISHED", "agent-2": "FAILED"}
    assert parent.data.metrics["input_tokens"] == 200.0
    assert "mlflow.parentRunId" not in parent.data.tags


def test_runs_are_linked_to_their_traces(sink, client, experiment):
    trace = agent_trace()
    sink.send(batch(experiment, *trace.spans))
    told = replace(record(line(experiment=experiment), PUBLISHED), trace_id=trace.id)

    for _ in range(2):
        sink.log_runs(experiment, [told])

    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    [run] = client.search_runs([experiment_id])
    found = client.search_traces(locations=[experiment_id], run_id=run.info.run_id)
    assert [one.info.trace_id for one in found] == [f"tr-{trace.id}"]


def test_files_of_an_invocation_arrive_whole(sink, client, experiment, tmp_path):
    blob = tmp_path / "blob"
    blob.write_bytes(b"\x00uplift" * 1_000)
    file = Attached("s", Artifact("uplift map.png", "ab" * 32, 7_000, "image/png"), str(blob))
    told = replace(record(line(runs="per_invocation", experiment=experiment), PUBLISHED), files=(file,))

    sink.log_runs(experiment, [told])

    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    [run] = [run for run in runs if run.info.run_name == "causal_impact"]
    folder = client.download_artifacts(run.info.run_id, "", str(tmp_path))
    assert (tmp_path / "uplift map.png").read_bytes() == blob.read_bytes(), folder
