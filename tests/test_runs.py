"""Runs end to end: a graph here, MLflow's runs there, equal to the sums over its traces."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from mlflow import MlflowClient

import tierlens
from tests.capture.graphs import State, agent, chain, graph, model, parallel, send
from tests.cli.running import tierlens as cli
from tests.conftest import StoredMlflow
from tests.journal.processes import eventually
from tierlens.lens import Lens
from tierlens.shipping.hosts.run import run_once
from tierlens.sinks.mlflow_http import MlflowHttpSink

pytestmark = pytest.mark.server
BRANDS = ("Kisqali", "Fabhalta")


@pytest.fixture
def start(tmp_path: Path, mlflow_server: StoredMlflow) -> Iterator[Callable[..., Lens]]:
    started: list[Lens] = []

    def init(text: str, *agents: str, **flags: str) -> Lens:
        folder = tmp_path / "config"
        (folder / "agents").mkdir(parents=True)
        (folder / "tierlens.yaml").write_text(textwrap.dedent(text))
        if flags:
            (folder / "agents" / "a.yaml").write_text(yaml.safe_dump({"agent": "a", **flags}))
        for name in agents:
            (folder / "agents" / f"{name}.yaml").write_text(f"agent: {name}\n")
        lens = tierlens.init(
            tracking_uri=mlflow_server.uri, config_dir=folder, journal_dir=tmp_path / "journal", shipper="external"
        )
        started.append(lens)
        return lens

    yield init
    for lens in started:
        lens.close()


def ask(lens: Lens) -> None:
    for brand in BRANDS:
        config: Any = {"callbacks": [lens.callback(brand=brand)]}
        for _ in range(3):
            chain().invoke({"question": "why"}, config)
        for made in (parallel, send, agent):
            made().invoke({"question": "why"}, config)


def sums(server: StoredMlflow, experiment: str) -> dict[str, float]:
    """Every metric of every run of an experiment, summed over its points."""
    client = MlflowClient(server.uri)
    found: dict[str, float] = {}
    for run in client.search_runs([server.experiment(experiment)["experiment_id"]]):
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            found[name] = found.get(name, 0.0) + sum(point.value for point in points)
    return found


def tokens(server: StoredMlflow, experiment: str) -> dict[str, int]:
    """Token counts of all traces of an experiment."""
    totals = [server.totals(trace_id)[0] for trace_id in server.trace_ids(experiment)]
    return {name: sum(total.get(name, 0) for total in totals) for name in ("input_tokens", "output_tokens")}


def names(server: StoredMlflow, experiment: str) -> list[str]:
    runs = MlflowClient(server.uri).search_runs([server.experiment(experiment)["experiment_id"]])
    return sorted(run.data.params.get("agent", "") for run in runs)


def test_runs_are_the_sums_over_the_same_traces_also_once_all_was_delivered_again(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    lens = start("app: runs_sums\nbrands: [Kisqali, Fabhalta]\ndefaults: {runs: per_version}\n")
    ask(lens)
    lens.close()
    shutil.copytree(tmp_path / "journal", tmp_path / "again")

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    before = {brand: sums(mlflow_server, f"runs_sums/{brand}") for brand in BRANDS}
    for brand in BRANDS:
        told = tokens(mlflow_server, f"runs_sums/{brand}")
        assert {name: before[brand][name] for name in told} == told
        # Two models a chain, three in parallel, two calls of the agent; nodes: 3 x 2 + 4 + 4, and the agent's own.
        assert before[brand]["model_calls"] == 11.0
    agents = names(mlflow_server, "runs_sums/Kisqali")
    assert len(agents) == len(set(agents))

    run_once(tmp_path / "again", MlflowHttpSink(mlflow_server.uri))

    assert {brand: sums(mlflow_server, f"runs_sums/{brand}") for brand in BRANDS} == before
    assert names(mlflow_server, "runs_sums/Kisqali") == agents


def test_by_invocation_every_graph_call_is_a_run_that_holds_its_agents(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    lens = start("app: runs_each\ndefaults:\n  runs: per_invocation\n")
    for _ in range(3):
        chain().invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    runs = MlflowClient(mlflow_server.uri).search_runs([mlflow_server.experiment("runs_each/Kisqali")["experiment_id"]])
    parents = {run.info.run_id: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    children = [run for run in runs if run.info.run_id not in parents]
    assert sorted(run.data.params["agent"] for run in children) == ["a"] * 3 + ["b"] * 3
    assert [run.data.metrics["input_tokens"] for run in parents.values()] == [14.0] * 3
    for parent in parents.values():
        inside = [run for run in children if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
        assert sum(run.data.metrics["input_tokens"] for run in inside) == parent.data.metrics["input_tokens"]


@pytest.mark.parametrize("own", ["", "{app}/own"])
def test_by_invocation_of_one_agent_leaves_no_run_open(
    own: str, start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    app = f"runs_of_one_{len(own)}"
    lens = start(f"app: {app}\n", runs="per_invocation", **({"mlflow_experiment": own} if own else {}))
    chain().invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    client = MlflowClient(mlflow_server.uri)
    experiments = [experiment for experiment in client.search_experiments() if experiment.name.startswith(app)]
    runs = client.search_runs([experiment.experiment_id for experiment in experiments])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if run.data.params.get("agent") == "a"]) == 1
    assert len(runs) == 2


def test_by_invocation_of_one_agent_leaves_no_run_open_either_where_the_process_dies(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    lens, journal, left = start("app: runs_died\n", runs="per_invocation"), tmp_path / "journal", tmp_path / "left"

    def die(state: State) -> State:
        # The root's start, the same with what has become known of it, and this node's.
        eventually(lambda: b"".join(map(Path.read_bytes, journal.glob("*.jsonl"))).count(b'"kind":"start"') >= 3)
        # Nobody holds the lock of a copy: what a process that died here would have left.
        shutil.copytree(journal, left)
        return {}

    graph(a=lambda state: {"notes": ["done"]}, die=die).compile().invoke({}, {"callbacks": [lens.callback()]})

    run_once(left, MlflowHttpSink(mlflow_server.uri))

    client = MlflowClient(mlflow_server.uri)
    (experiment,) = (found for found in client.search_experiments() if found.name.startswith("runs_died"))
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]


def test_a_version_of_a_prompt_has_a_run_and_costs_to_itself(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    prompt, versions = "asking", (1, 2, 2, None)
    lens = start("app: runs_prompts\n", "a")

    def asking(version: int | None) -> Any:
        def a(state: State) -> State:
            if version is not None:
                tierlens.link_prompt(prompt, version)
            model("because").invoke("why", {"metadata": {"ls_model_name": "m"}})
            return {}

        return graph(a=a).compile()

    for version in versions:
        asking(version).invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    experiment = "runs_prompts/Kisqali"
    client = MlflowClient(mlflow_server.uri)
    runs = client.search_runs([mlflow_server.experiment(experiment)["experiment_id"]])
    calls = {
        run.data.params.get(f"prompt.{prompt}"): client.get_metric_history(run.info.run_id, "model_calls")
        for run in runs
    }
    assert {version: len(points) for version, points in calls.items()} == {"1": 1, "2": 2, None: 1}
    tags = [mlflow_server.trace(trace_id)["tags"] for trace_id in mlflow_server.trace_ids(experiment)]
    linked = [json.loads(told.get("mlflow.linkedPrompts", "[]")) for told in tags]
    assert sorted(one["version"] for prompts in linked for one in prompts) == ["1", "2", "2"]
    told = cli(tmp_path, "costs", "--by", "prompt", "--json", MLFLOW_TRACKING_URI=mlflow_server.uri)
    spent = {row["prompt"]: row["calls"] for row in json.loads(told.out)["rows"] if prompt in row["prompt"]}
    assert spent == {f"{prompt}/1": 1, f"{prompt}/2": 2}


def test_a_try_that_failed_is_counted_once_in_its_trace_and_in_its_run(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    lens = start("app: runs_retried\n", "a")
    tries = iter(range(3))

    def a(state: State) -> State:
        model("because").invoke("why", {"metadata": {"ls_model_name": "m"}})
        if next(tries) < 2:
            raise ConnectionError("not yet")
        return {}

    built = StateGraph(State)
    built.add_node("a", a, retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01))
    built.add_edge(START, "a")
    built.compile().invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    experiment = "runs_retried/Kisqali"
    [trace_id] = mlflow_server.trace_ids(experiment)
    found = sums(mlflow_server, experiment)
    # Three calls of seven tokens.
    assert mlflow_server.totals(trace_id)[0]["input_tokens"] == found["input_tokens"] == 21
    assert found["outcome/retried"] == 2.0
    assert "outcome/error" not in found


def test_units_directions_and_refusals_are_told_where_one_looks(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    metrics = "{length: {path: outputs.notes.0, min: 0}, gap: {unit: '%', direction: lower}}"
    lens = start(f"app: runs_units\ndefaults:\n  runs: per_version\n  metrics: {metrics}\n")

    def a(state: Any) -> Any:
        tierlens.metric("gap", 0.25)
        tierlens.metric("other", 3)
        return {"notes": ["x"]}

    graph(a=a).compile().invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    [trace_id] = mlflow_server.trace_ids("runs_units/Kisqali")
    told = {a["assessment_name"]: a.get("metadata") for a in mlflow_server.trace(trace_id)["assessments"]}
    assert told == {"gap": {"unit": "%", "direction": "lower"}, "other": None}
    [run] = MlflowClient(mlflow_server.uri).search_runs(
        [mlflow_server.experiment("runs_units/Kisqali")["experiment_id"]]
    )
    assert (run.data.tags["metric.gap.unit"], run.data.tags["metric.gap.direction"]) == ("%", "lower")
    assert (run.data.metrics["gap"], run.data.metrics["refused_metrics"]) == (0.25, 1.0)


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [("{}", ["a"]), ("{runs: per_version}", ["LangGraph", "a"]), ("{runs: off}", [])],
    ids=["left out", "per version", "off"],
)
def test_an_agent_with_a_file_has_runs_unless_told_otherwise(
    defaults: str,
    expected: list[str],
    start: Callable[..., Lens],
    mlflow_server: StoredMlflow,
    tmp_path: Path,
) -> None:
    app = f"runs_left_out_{len(expected)}"
    lens = start(f"app: {app}\ndefaults: {defaults}\n", "a")
    chain().invoke({"question": "why"}, {"callbacks": [lens.callback(brand="Kisqali")]})
    lens.close()

    run_once(tmp_path / "journal", MlflowHttpSink(mlflow_server.uri))

    assert len(mlflow_server.trace_ids(f"{app}/Kisqali")) == 1
    assert names(mlflow_server, f"{app}/Kisqali") == expected
