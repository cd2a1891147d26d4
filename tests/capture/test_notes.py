"""What code says about the span it runs in."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys
from tierlens.policy import AgentPolicy, Policies

QUESTION: Any = {"question": "Why?"}


def run(capture: Capture, does: Any) -> None:
    def node(state: State) -> State:
        does()
        return {}

    graph(node=node).compile(name="graph").invoke(QUESTION, capture.config())


def metrics(capture: Capture, name: str) -> Any:
    return capture.journal.routings[capture.journal.named(name).span_id].metrics


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.83, 0.83),
        (3, 3.0),
        (True, True),
        ("high", "high"),
        (np.float64(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.True_, True),
    ],
)
def test_a_metric_is_a_number_a_truth_or_a_label(capture: Capture, value: Any, stored: Any) -> None:
    run(capture, lambda: tierlens.metric("score", value))
    assert metrics(capture, "node") == {"score": stored}
    assert type(metrics(capture, "node")["score"]) is type(stored)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1], object(), np.array([1.0, 2.0])])
def test_anything_else_is_refused_aloud_and_never_stored(
    capture: Capture, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    with caplog.at_level(logging.WARNING, "tierlens"):
        run(capture, lambda: tierlens.metric("score", value))
    assert metrics(capture, "node") == {}
    assert "'score'" in caplog.text


def test_a_metric_goes_to_the_agent_around_it(capture: Capture) -> None:
    @tierlens.tool
    def tool() -> None:
        tierlens.metric("from the tool", 1)

    @tierlens.agent("inner")
    def inner() -> None:
        tool()

    def does() -> None:
        inner()
        tierlens.metric("from the node", 2)

    run(capture, does)
    assert (metrics(capture, "inner"), metrics(capture, "node")) == ({"from the tool": 1}, {"from the node": 2})


async def test_concurrent_tasks_measure_their_own_agents(capture: Capture) -> None:
    @tierlens.agent("agent")
    async def agent(number: int) -> int:
        await asyncio.sleep(0)
        tierlens.metric("number", number)
        return number

    await asyncio.gather(*map(agent, range(5)))
    for span in capture.journal.spans.values():
        number = json.loads(str(span.attributes[keys.OUTPUTS]))["value"]
        assert capture.journal.routings[span.span_id].metrics == {"number": number}


def test_a_tag_is_the_traces(capture: Capture) -> None:
    run(capture, lambda: [tierlens.tag("region", "north"), tierlens.tag("mlflow.artifactLocation", "/etc")])
    (root,) = capture.journal.roots()
    assert root.attributes[keys.TRACE_TAG + "region"] == "north"
    assert "artifactLocation" not in capture.journal.text()


def test_a_tag_is_redacted_as_the_agent_that_says_it_has_it(capture: Capture) -> None:
    capture.recorder.policies = Policies(agents={"node": AgentPolicy(agent="node", node="node", redact=("email",))})
    run(capture, lambda: tierlens.tag("asked_by", "jane.miller@example.org"))
    (root,) = capture.journal.roots()
    assert root.attributes[keys.TRACE_TAG + "asked_by"] == "[redacted:email]"


def test_a_prompt_is_its_agents_and_its_traces(capture: Capture) -> None:
    @tierlens.agent("inner")
    def inner() -> None:
        tierlens.link_prompt("cause", "2")

    def node() -> None:
        tierlens.link_prompt(SimpleNamespace(name="gap", version=3))
        tierlens.link_prompt("gap", 3)
        tierlens.link_prompt("prompts:/gap/3")
        inner()

    run(capture, node)
    (root,) = capture.journal.roots()
    gap, cause = {"name": "gap", "version": "3"}, {"name": "cause", "version": "2"}
    said = {
        span.name: json.loads(str(span.attributes.get(keys.PROMPTS, "[]"))) for span in capture.journal.spans.values()
    }
    assert (said["node"], said["inner"]) == ([gap], [cause])
    assert json.loads(str(root.attributes[keys.TRACE_TAG + keys.LINKED_PROMPTS])) == [gap, cause]


def test_a_prompt_without_a_version_is_refused_aloud(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    odd = [("gap", None), ("g" * 5_000, 1), ("", 1), ("gap", ""), ("prompts:/gap@latest", None)]
    run(capture, lambda: [tierlens.link_prompt(name, version) for name, version in odd])
    assert keys.LINKED_PROMPTS not in capture.journal.text()
    assert "say which" in caplog.text
    assert "no more room" in caplog.text


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]  # as hostile as can be

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


ODD: dict[str, Callable[[], Any]] = {
    "hostile": Hostile,
    "a data frame": lambda: pd.DataFrame({"a": [1]}),
    "an array": lambda: np.zeros(3),
    "nothing": lambda: None,
    "a list": lambda: ["a"],
    "a long text": lambda: "x" * 10_000,
}


@pytest.mark.parametrize("kind", ODD)
def test_nothing_that_is_said_can_hurt_the_code_that_says_it(capture: Capture, kind: str) -> None:
    value = ODD[kind]()
    capture.recorder.shield.strict = False
    run(capture, lambda: [tierlens.tag("t", value), tierlens.metric("m", value), tierlens.artifact("a.json", value)])
    assert capture.outcomes("graph") == ["ok"]


@pytest.mark.parametrize(
    ("name", "content", "stored", "kind"),
    [
        ("a.txt", "text", b"text", "text/plain"),
        ("a.bin", b"\x00\x01", b"\x00\x01", "application/octet-stream"),
        ("a.json", {"a": 1}, b'{\n  "a": 1\n}', "application/json"),
    ],
)
def test_an_artifact_is_stored_beside_the_journal(
    capture: Capture, name: str, content: Any, stored: bytes, kind: str
) -> None:
    run(capture, lambda: tierlens.artifact(name, content))
    (artifact,) = capture.journal.routings[capture.journal.named("node").span_id].artifacts
    assert (artifact.name, artifact.size, artifact.content_type) == (name, len(stored), kind)
    assert capture.journal.blobs[artifact.sha256] == stored


def test_a_file_is_copied_and_a_figure_drawn(capture: Capture, tmp_path: Path) -> None:
    class Figure:
        def savefig(self, file: Any, format: str) -> None:
            file.write(f"drawn as {format}".encode())

    (tmp_path / "report.md").write_text("# Report")
    run(capture, lambda: [tierlens.artifact("r.md", tmp_path / "report.md"), tierlens.artifact("f.svg", Figure())])
    report, figure = capture.journal.routings[capture.journal.named("node").span_id].artifacts
    assert capture.journal.blobs[report.sha256] == b"# Report"
    assert (capture.journal.blobs[figure.sha256], figure.content_type) == (b"drawn as svg", "image/svg+xml")


@pytest.mark.parametrize("name", ["notes", "app.log", "rows.jsonl", ".env", "jdbc:postgresql://db/shop?of=this.txt"])
def test_what_can_be_read_as_text_is_redacted_whatever_its_name_says(capture_with: Any, name: str) -> None:
    capture: Capture = capture_with(Policies(agents={"node": AgentPolicy(agent="node", redact=("email",))}))
    run(
        capture,
        lambda: [tierlens.artifact(name, b"to ann@example.org"), tierlens.artifact(name, b"\xff ann@example.org")],
    )
    contents = list(capture.journal.blobs.values())
    assert b"to [redacted:email]" in contents
    assert sum(b"ann@" in content for content in contents) <= 1  # what is no text is left as it is


@pytest.mark.parametrize("name", ["notes", "jdbc:postgresql://db/shop?of=this.txt"])
def test_a_file_is_of_the_type_that_its_ending_says(capture: Capture, name: str) -> None:
    run(capture, lambda: tierlens.artifact(name, "text"))
    (artifact,) = capture.journal.routings[capture.journal.named("node").span_id].artifacts
    assert artifact.content_type == ("text/plain" if name.endswith(".txt") else "application/octet-stream")


def test_an_artifact_that_cannot_be_read_is_said_and_skipped(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tierlens"):
        run(capture, lambda: tierlens.artifact("gone.md", Path("/no/such/file")))
    assert "gone.md" in caplog.text


def test_an_agent_may_keep_its_artifacts(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(agents={"node": AgentPolicy(agent="node", log_artifacts=False)}))
    run(capture, lambda: tierlens.artifact("a.txt", "text"))
    assert capture.journal.blobs == {}


def test_of_a_trace_that_is_not_recorded_no_file_is_kept(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(sample=0.0)))
    run(capture, lambda: tierlens.artifact("a.txt", "text"))
    assert capture.journal.blobs == {}


def test_outside_of_any_span_they_do_nothing(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tierlens"):
        tierlens.metric("score", 1)
        tierlens.tag("region", "north")
        tierlens.artifact("a.txt", "text")
    assert "no span is open here" in caplog.text
    assert capture.journal.blobs == {}


def test_inside_a_model_call_of_the_nodes_they_mean_the_node(capture: Capture) -> None:
    def does() -> None:
        for _ in model("one two three").stream("x"):
            tierlens.metric("chunks", 1)

    run(capture, does)
    assert metrics(capture, "node") == {"chunks": 1.0}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../x.png", "x.png"),
        ("/etc/x.png", "etc/x.png"),
        ("..\\x.png", "x.png"),
        ("plots/./x.png", "plots/x.png"),
        ("a\nb\x00.png", "a_b_.png"),
        (Path("x.png"), "x.png"),
        ("Größe: 5 %.png", "Größe: 5 %.png"),
    ],
)
def test_an_artifacts_name_leads_nowhere_else(capture: Capture, name: Any, stored: str) -> None:
    run(capture, lambda: tierlens.artifact(name, b"bytes"))
    (artifact,) = capture.journal.routings[capture.journal.named("node").span_id].artifacts
    assert (artifact.name, artifact.content_type) == (stored, "image/png")


@pytest.mark.parametrize("name", ["", " ", "..", "../..", "/", "x" * 201])
def test_an_artifact_without_a_name_that_a_file_may_have_is_refused_aloud(
    capture: Capture, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    run(capture, lambda: tierlens.artifact(name, b"bytes"))
    assert capture.journal.routings[capture.journal.named("node").span_id].artifacts == ()
    assert "was not stored: it" in caplog.text
