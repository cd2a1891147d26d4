from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.journal.spans import span
from tests.sinks.traces import COST, TOKENS, agent_trace, batch, below
from tierlens.attachments import attachment_id
from tierlens.errors import Forbidden, Unavailable
from tierlens.local.postgres import Postgres
from tierlens.negotiated import Negotiated
from tierlens.projection.prices import PriceBook
from tierlens.sinks.base import Attached
from tierlens.sinks.databases import artifact_root
from tierlens.sinks.erasing import StoreErasing
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.spans import Artifact

METRICS = {"causal_confidence": 0.83, "robust": True, "verdict": "uplift"}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def sink(database):
    sink = MlflowStoreSink(database)
    yield sink
    sink.close()


@pytest.fixture(scope="module")
def stored(database):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return SqlAlchemyStore(database, artifact_root(database))


def test_spans_and_metrics_arrive_as_they_do_over_http(sink, stored, experiment):
    trace = agent_trace(question="Why?", answer="Because.")

    for _ in range(3):
        sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, METRICS)]))

    found = stored.get_trace(f"tr-{trace.id}")
    assert {span.name: span.span_type for span in found.data.spans} == {
        "brand_analytics": "CHAIN",
        "agent-0": "AGENT",
        "model-0": "CHAT_MODEL",
    }
    assert (found.info.token_usage, found.info.cost) == (TOKENS, COST)
    assert (found.info.request_preview, found.info.response_preview) == ("Why?", "Because.")
    assert found.info.tags["mlflow.traceName"] == "brand_analytics Kisqali"
    assert {a.name: a.feedback.value for a in found.info.assessments} == METRICS


def test_a_database_is_told_the_cost_by_the_prices_given(database, stored, experiment):
    trace, book = agent_trace(), PriceBook([Negotiated("*", "claude-*", 1_000.0, 0.0, cache_read=0.0)])

    MlflowStoreSink(database, prices=book).send(batch(experiment, *trace.spans))

    assert stored.get_trace(f"tr-{trace.id}").info.cost["total_cost"] == pytest.approx(0.04)


def test_one_metric_sent_again_is_one_row(sink, stored, experiment):
    trace = agent_trace()
    sink.send(batch(experiment, *trace.spans))

    for _ in range(2):
        sink.finish(trace.finish(experiment, {"gap": 0.5}))

    [assessment] = stored.get_trace_info(f"tr-{trace.id}").assessments
    assert (assessment.name, assessment.feedback.value) == ("gap", 0.5)


def test_tokens_of_a_second_process_are_counted(sink, stored, experiment):
    ours = agent_trace()
    theirs = below(agent_trace(), ours.named("agent-0"))

    sink.send(batch(experiment, *ours.spans, finishes=[ours.finish(experiment, METRICS)]))
    before = stored.get_trace_info(f"tr-{ours.id}")
    sink.send(batch(experiment, *theirs.spans))

    after = stored.get_trace_info(f"tr-{ours.id}")
    assert after.token_usage == {key: 2 * value for key, value in TOKENS.items()}
    assert (after.execution_duration, after.request_time) == (before.execution_duration, before.request_time)
    assert after.execution_duration == 1_250


def test_a_file_lies_in_the_traces_own_folder(sink, stored, experiment, tmp_path):
    file = tmp_path / "blob"
    file.write_bytes(b"picture")
    trace = agent_trace()
    artifact = Artifact("uplift.png", "ab" * 32, 7, "image/png")
    attached = Attached(trace.root.span_id, artifact, str(file))

    sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, attached=[attached])]))

    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    location = stored.get_trace_info(f"tr-{trace.id}").tags["mlflow.artifactLocation"]
    name = attachment_id(trace.id, trace.root.span_id, artifact)
    assert get_artifact_repository(location).download_trace_attachment(name) == b"picture"


def test_a_deleted_experiment_is_said_to_be_deleted(sink, database, stored, experiment):
    sink.send(batch(experiment, *agent_trace().spans))
    stored.delete_experiment(stored.get_experiment_by_name(experiment).experiment_id)

    with pytest.raises(Forbidden, match="is deleted"):
        MlflowStoreSink(database).send(batch(experiment, *agent_trace().spans))


def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path):
    sink = MlflowStoreSink(f"sqlite:///{tmp_path}/missing/folder/is/a/file/mlflow.db")
    (tmp_path / "missing").write_text("a file")

    with pytest.raises(Unavailable):
        sink.send(batch("x", *agent_trace().spans))


def test_a_database_whose_driver_is_missing_says_what_to_install():
    with pytest.raises(Forbidden, match="pip install"):
        MlflowStoreSink("postgresql+pg8000://user@localhost/mlflow").send(batch("x", *agent_trace().spans))


@pytest.mark.postgres
def test_postgresql_takes_spans_and_metrics_too(tmp_path, experiment):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    postgres, trace = Postgres(tmp_path / "postgres"), agent_trace()
    uri = postgres.start()
    try:
        sink = MlflowStoreSink(uri, artifact_location=str(tmp_path / "artifacts"))
        for _ in range(2):
            sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, METRICS)]))
        asked = span(1, trace=1)._replace(
            attributes={"mlflow.spanInputs": '{"question": "a\\u0000b"}', "user.id": "u\0"}
        )
        sink.send(batch(experiment, asked))
        sink.close()

        store = SqlAlchemyStore(uri, str(tmp_path))
        told = store.get_trace_info(f"tr-{asked.trace_id}")
        assert told.request_preview == r'{"question": "a\ufffdb"}'
        assert told.trace_metadata["mlflow.trace.user"] == "u\ufffd"
        info = store.get_trace_info(f"tr-{trace.id}")
        assert info.token_usage == TOKENS
        assert {a.name: a.feedback.value for a in info.assessments} == METRICS
    finally:
        postgres.stop()


def test_a_database_whose_file_was_deleted_is_made_anew(tmp_path, experiment):
    file = tmp_path / "mlflow.db"
    sink, after = MlflowStoreSink(f"sqlite:///{file}"), agent_trace()
    sink.send(batch(experiment, *agent_trace().spans))
    for one in tmp_path.glob("mlflow.db*"):
        one.unlink()

    sink.send(batch(experiment, *after.spans))

    sink.close()
    other = MlflowStoreSink(f"sqlite:///{file}")
    assert len(other.held([after.id])[after.id]) == 3
    other.close()


def test_no_trace_lands_in_another_brands_experiment_where_the_database_was_replaced(tmp_path, experiment):
    file, hers = tmp_path / "mlflow.db", agent_trace()
    sink = MlflowStoreSink(f"sqlite:///{file}")
    for brand in ("A", "B"):
        sink.send(batch(f"{experiment}/{brand}", *agent_trace().spans))
    for one in tmp_path.glob("mlflow.db*"):
        one.unlink()

    # In the new database the first experiment is B's, with the id that was A's.
    sink.send(batch(f"{experiment}/B", *agent_trace().spans))
    sink.send(batch(f"{experiment}/A", *hers.spans))
    sink.close()

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    stored = SqlAlchemyStore(f"sqlite:///{file}", str(tmp_path))
    wanted = stored.get_experiment_by_name(f"{experiment}/A")
    assert stored.get_trace_info(f"tr-{hers.id}").experiment_id == (wanted and wanted.experiment_id)


def test_what_is_to_be_erased_is_found_however_many_experiments_there_are(tmp_path):
    uri, trace = f"sqlite:///{tmp_path}/mlflow.db", agent_trace()
    with contextlib.closing(MlflowStoreSink(uri)) as sink:
        sink.send(batch("tierlens/Kisqali", *trace.spans))
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        # MLflow gives out a thousand at a time, the newest first.
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, creation_time) "
            "SELECT i, 'brand ' || i, 'active', 4102444800000 FROM n"
        )

    with contextlib.closing(StoreErasing(uri, made=False)) as stored:
        assert [info["trace_id"] for info in stored.traces_where("")] == [f"tr-{trace.id}"]
