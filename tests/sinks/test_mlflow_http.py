"""Against a real MLflow server."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.sinks.traces import COST, TOKENS, agent_trace, batch, below
from tierlens import keys
from tierlens.attachments import attachment_id, attachment_uri
from tierlens.errors import Forbidden, Rejected
from tierlens.sinks.base import Attached
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.spans import Artifact

pytestmark = pytest.mark.server
METRICS = {"causal_confidence": 0.83, "robust": True, "verdict": "uplift"}


@pytest.fixture
def sink(mlflow_server):
    sink = MlflowHttpSink(mlflow_server.uri)
    yield sink
    sink.close()


def values(mlflow_server, trace_id):
    assessments = mlflow_server.trace(trace_id).get("assessments", ())
    return {(a["span_id"], a["assessment_name"]): a["feedback"]["value"] for a in assessments}


def times(tokens, number):
    return {key: value * number for key, value in tokens.items()}


def test_spans_arrive_with_their_types_values_and_tree(sink, mlflow_server, experiment):
    trace = agent_trace()

    sink.send(batch(experiment, *trace.spans))

    stored = {span["name"]: span for span in mlflow_server.spans(trace.id)}
    model = stored["model-0"]["attributes"]
    assert model["mlflow.spanType"] == "CHAT_MODEL"
    assert model[keys.TTFT_MS] == 12.5
    assert int(model[keys.ATTEMPT]) == 3
    assert stored.keys() == {"brand_analytics", "agent-0", "model-0"}
    assert stored["model-0"]["parent_span_id"] == stored["agent-0"]["span_id"]


def test_a_trace_shows_its_question_answer_name_tags_tokens_and_cost(sink, mlflow_server, experiment):
    trace = agent_trace(question="Why did new starts fall?", answer="Access.", agents=2)

    sink.send(batch(experiment, *trace.spans))

    info = mlflow_server.trace(trace.id)
    assert (info["request_preview"], info["response_preview"]) == ("Why did new starts fall?", "Access.")
    assert info["state"] == "OK"
    assert info["execution_duration"] == "1.250s"
    assert info["tags"]["mlflow.traceName"] == "brand_analytics Kisqali"
    assert info["tags"]["brand"] == "Kisqali"
    assert info["tags"]["deployment.environment.name"] == "staging"
    assert "service.name" not in info["tags"]
    assert info["trace_metadata"]["mlflow.trace.session"] == "thread-7"
    assert info["trace_metadata"]["mlflow.trace.user"] == "analyst-1"
    assert mlflow_server.totals(trace.id) == (times(TOKENS, 2), times(COST, 2))


def test_a_failed_root_makes_a_failed_trace(sink, mlflow_server, experiment):
    trace = agent_trace(status="ERROR")

    sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, METRICS)]))

    assert mlflow_server.trace(trace.id)["state"] == "ERROR"


@pytest.mark.parametrize("metrics", [{"gap_score": 0.4}, METRICS])
@pytest.mark.parametrize("with_the_spans", [True, False])
def test_metrics_become_assessments_and_blank_nothing(sink, mlflow_server, experiment, metrics, with_the_spans):
    trace = agent_trace(question="Why?", answer="Because.")
    finish = trace.finish(experiment, metrics, of=trace.named("agent-0"))

    if with_the_spans:
        sink.send(batch(experiment, *trace.spans, finishes=[finish]))
    else:
        sink.send(batch(experiment, *trace.spans))
        sink.finish(finish)

    agent = trace.named("agent-0").span_id
    info = mlflow_server.trace(trace.id)
    assert values(mlflow_server, trace.id) == {(agent, name): value for name, value in metrics.items()}
    assert {a["source"]["source_type"] for a in info["assessments"]} == {"CODE"}
    assert (info["request_preview"], info["response_preview"]) == ("Why?", "Because.")
    assert info["trace_metadata"]["mlflow.trace.session"] == "thread-7"
    assert info["tags"]["mlflow.traceName"] == "brand_analytics Kisqali"
    assert info["execution_duration"] == "1.250s"
    assert mlflow_server.totals(trace.id) == (TOKENS, COST)


def test_one_metric_on_many_spans_is_many_rows(sink, mlflow_server, experiment):
    trace = agent_trace(agents=3)
    agents = [trace.named(f"agent-{number}") for number in range(3)]
    findings = [trace.finish(experiment, {"gap_score": 0.5 + n}, of=a) for n, a in enumerate(agents)]

    sink.send(batch(experiment, *trace.spans))
    for finish in findings:
        sink.finish(finish)

    assert values(mlflow_server, trace.id) == {
        (agent.span_id, "gap_score"): 0.5 + number for number, agent in enumerate(agents)
    }


@pytest.mark.parametrize("metrics", [{"gap_score": 0.4}, METRICS])
def test_sent_five_times_is_stored_once(sink, mlflow_server, experiment, metrics):
    trace = agent_trace()
    whole = batch(experiment, *trace.spans, finishes=[trace.finish(experiment, metrics)])

    for _ in range(5):
        sink.send(whole)

    assert len(mlflow_server.spans(trace.id)) == len(trace.spans)
    assert len(mlflow_server.trace(trace.id)["assessments"]) == len(metrics)
    assert mlflow_server.totals(trace.id) == (TOKENS, COST)
    assert mlflow_server.trace_ids(experiment) == {trace.id}


@pytest.mark.parametrize("metrics", [{}, METRICS])
def test_spans_that_come_after_their_root_are_counted(sink, mlflow_server, experiment, metrics):
    trace = agent_trace(agents=2)
    early, late = trace.spans[:3], trace.spans[3:]

    sink.send(batch(experiment, *early, finishes=[trace.finish(experiment, metrics)]))
    sink.send(batch(experiment, *late))

    assert mlflow_server.totals(trace.id) == (times(TOKENS, 2), times(COST, 2))
    assert mlflow_server.trace(trace.id)["execution_duration"] == "1.250s"


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_trace_of_two_processes_is_one_with_both_their_tokens(sink, mlflow_server, experiment, ours_first):
    ours = agent_trace(question="The caller's")
    theirs = below(agent_trace(question="The callee's", status="ERROR"), ours.named("agent-0"))
    sendings = [
        batch(experiment, *share.spans, finishes=[share.finish(experiment, METRICS)]) for share in (ours, theirs)
    ]

    for sending in sendings if ours_first else reversed(sendings):
        sink.send(sending)

    info = mlflow_server.trace(ours.id)
    assert mlflow_server.totals(ours.id) == (times(TOKENS, 2), times(COST, 2))
    assert len(info["assessments"]) == 2 * len(METRICS)
    assert (info["request_preview"], info["state"]) == ("The caller's", "OK")


def test_a_number_that_is_none_is_told_and_not_charted(sink, mlflow_server, experiment):
    trace = agent_trace()

    sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, {"bias": float("nan")})]))

    [assessment] = mlflow_server.trace(trace.id)["assessments"]
    assert assessment["feedback"]["error"]["error_message"] == "bias is nan"


def test_quality_is_charted_from_metrics(sink, mlflow_server, experiment):
    traces = [agent_trace() for _ in range(3)]
    finishes = [t.finish(experiment, {"drift": n / 2, "robust": True}) for n, t in enumerate(traces)]
    sink.send(batch(experiment, *[span for t in traces for span in t.spans], finishes=finishes))

    answer = mlflow_server.post(
        "/api/3.0/mlflow/traces/metrics",
        {
            "experiment_ids": [mlflow_server.experiment(experiment)["experiment_id"]],
            "view_type": "ASSESSMENTS",
            "metric_name": "assessment_value",
            "aggregations": [{"aggregation_type": "AVG"}],
            "dimensions": ["assessment_name"],
        },
    )

    averages = {p["dimensions"]["assessment_name"]: p["values"]["AVG"] for p in answer["data_points"]}
    assert averages == {"drift": 0.5, "robust": 1.0}


def test_an_experiment_is_made_on_first_use_for_genai(sink, mlflow_server, experiment):
    sink.send(batch(experiment, *agent_trace().spans))

    tags = {tag["key"]: tag["value"] for tag in mlflow_server.experiment(experiment)["tags"]}
    assert tags["mlflow.experimentKind"] == "genai_development"


def test_a_given_artifact_location_is_that_of_new_experiments(mlflow_server, experiment):
    sink = MlflowHttpSink(mlflow_server.uri, artifact_location="mlflow-artifacts:/elsewhere")

    sink.send(batch(experiment, *agent_trace().spans))

    assert mlflow_server.experiment(experiment)["artifact_location"] == "mlflow-artifacts:/elsewhere"


RACER = """
import sys
sys.stdin.readline()
from tierlens.sinks.channel import Channel
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.mlflow_http import RestBackend
from tierlens.projection.experiments import Experiments
experiments = Experiments(RestBackend(Channel(sys.argv[1], Credentials())))
print("ready", flush=True)
sys.stdin.readline()
print(experiments.id_of(sys.argv[2]))
"""


def test_eight_processes_make_one_experiment(mlflow_server, experiment):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, mlflow_server.uri, experiment],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for racer in racers:
        racer.stdin.write("import\n")
        racer.stdin.flush()
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()

    ids = {racer.communicate(timeout=60)[0].strip() for racer in racers}

    assert ids == {mlflow_server.experiment(experiment)["experiment_id"]}


def test_a_deleted_experiment_is_said_to_be_deleted_and_takes_traces_once_restored(mlflow_server, experiment):
    MlflowHttpSink(mlflow_server.uri).send(batch(experiment, *agent_trace().spans))
    wanted = {"experiment_id": mlflow_server.experiment(experiment)["experiment_id"]}
    mlflow_server.post("/api/2.0/mlflow/experiments/delete", wanted)
    trace, sink = agent_trace(), MlflowHttpSink(mlflow_server.uri)

    with pytest.raises(Forbidden, match=f"mlflow experiments restore -x {wanted['experiment_id']}"):
        sink.send(batch(experiment, *trace.spans))
    mlflow_server.post("/api/2.0/mlflow/experiments/restore", wanted)
    sink.send(batch(experiment, *trace.spans))

    assert trace.id in mlflow_server.trace_ids(experiment)


def test_an_experiment_deleted_while_we_deliver_is_noticed_by_metrics(sink, mlflow_server, experiment):
    sink.send(batch(experiment, *agent_trace().spans))
    wanted = {"experiment_id": mlflow_server.experiment(experiment)["experiment_id"]}
    mlflow_server.post("/api/2.0/mlflow/experiments/delete", wanted)
    trace = agent_trace()

    with pytest.raises(Forbidden, match="is deleted"):
        sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, METRICS)]))


def test_one_bad_span_rejects_the_batch_and_stores_nothing(sink, mlflow_server, experiment):
    good, bad = agent_trace(), agent_trace()
    too_long = bad.root._replace(attributes={**bad.root.attributes, keys.SESSION: "s" * 400})

    with pytest.raises(Rejected):
        sink.send(batch(experiment, *good.spans, too_long))

    assert mlflow_server.trace_ids(experiment) == set()


def test_a_file_is_found_where_its_span_says(sink, mlflow_server, experiment, tmp_path):
    file = tmp_path / "blob"
    file.write_bytes(b"\x89PNG picture")
    trace = agent_trace()
    agent = trace.named("agent-0")
    artifact = Artifact("uplift.png", "ab" * 32, file.stat().st_size, "image/png")
    finish = trace.finish(experiment, attached=[Attached(agent.span_id, artifact, str(file))])

    sink.send(batch(experiment, *trace.spans, finishes=[finish]))

    name = attachment_id(trace.id, agent.span_id, artifact)
    assert attachment_uri(trace.id, agent.span_id, artifact).startswith(f"mlflow-attachment://{name}?")
    answer = mlflow_server.raw("/ajax-api/3.0/mlflow/get-trace-artifact", request_id=f"tr-{trace.id}", path=name)
    assert answer == b"\x89PNG picture"


def test_a_file_that_is_gone_is_rejected_after_the_metrics_were_stored(sink, mlflow_server, experiment, tmp_path):
    trace = agent_trace()
    artifact = Artifact("uplift.png", "ab" * 32, 3, "image/png")
    gone = Attached(trace.root.span_id, artifact, str(tmp_path / "gone"))

    with pytest.raises(Rejected, match="cannot be read"):
        sink.send(batch(experiment, *trace.spans, finishes=[trace.finish(experiment, METRICS, attached=[gone])]))

    assert len(mlflow_server.trace(trace.id)["assessments"]) == len(METRICS)
