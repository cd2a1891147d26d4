"""Metrics, artifacts and tags, said from inside the code they are about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph
from tierlens import keys
from tierlens.attachments import attachment_uri


def test_a_metric_goes_onto_the_agent_around_it(capture: Capture) -> None:
    @tierlens.tool
    def look_up() -> None:
        tierlens.metric("causal_confidence", 0.83)

    def node(state: State) -> State:
        look_up()
        return {"notes": []}

    graph(causal_impact=node).compile().invoke({"question": "x"}, {"callbacks": [capture.callback()]})

    agent = capture.journal.named("causal_impact")
    assert agent.attributes[keys.METRIC + "causal_confidence"] == 0.83
    assert capture.journal.routings[agent.span_id].metrics == {"causal_confidence": 0.83}
    assert not capture.journal.routings[capture.journal.named("look_up").span_id].metrics


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1], object()])
def test_what_is_no_metric_is_refused_with_a_reason_and_never_stored(
    capture: Capture, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    @tierlens.agent
    def work() -> None:
        tierlens.metric("odd", value)  # type: ignore[arg-type]

    work()

    assert not capture.journal.routings[capture.journal.named("work").span_id].metrics
    assert "'odd'" in caplog.text


def test_an_artifact_is_kept_whole_and_shown_in_the_outputs(capture: Capture, tmp_path: Path) -> None:
    (tmp_path / "panel.csv").write_text("hcp,month\n1,2\n")

    @tierlens.agent
    def work() -> dict[str, int]:
        tierlens.artifact("note.txt", "plain text")
        tierlens.artifact("panel.csv", tmp_path / "panel.csv")
        tierlens.artifact("table.json", {"rows": [1, 2]})
        return {"answer": 42}

    work()

    span = capture.journal.named("work")
    note, panel, table = capture.journal.routings[span.span_id].artifacts
    assert capture.journal.blobs[note.sha256] == b"plain text"
    assert panel.sha256 == hashlib.sha256(b"hcp,month\n1,2\n").hexdigest()
    assert json.loads(capture.journal.blobs[table.sha256]) == {"rows": [1, 2]}
    outputs = json.loads(str(span.attributes[keys.OUTPUTS]))
    assert outputs["answer"] == 42
    assert outputs["artifacts"]["note.txt"] == attachment_uri(span.trace_id, span.span_id, note)


def test_a_tag_goes_onto_the_trace(capture: Capture) -> None:
    def node(state: State, config: RunnableConfig) -> State:
        tierlens.tag("campaign", "spring")
        tierlens.tag("mlflow.artifactLocation", "elsewhere")
        return {"notes": []}

    graph(a=node).compile().invoke({"question": "x"}, {"callbacks": [capture.callback(tags={"wave": "2"})]})

    [root] = capture.journal.roots()
    tags = {key.removeprefix(keys.TRACE_TAG): value for key, value in root.attributes.items() if keys.TRACE_TAG in key}
    assert (tags["campaign"], tags["wave"], tags["brand"]) == ("spring", "2", "default")
    assert "mlflow.artifactLocation" not in tags


def test_without_a_lens_or_a_span_nothing_happens() -> None:
    tierlens.metric("m", 1.0)
    tierlens.tag("t", "v")
    tierlens.artifact("a", "text")
    assert tierlens.current_trace_url() is None
