from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import tierlens
from tierlens import config

APP = """
import contextlib
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    question: str
    answer: str

builder = StateGraph(State)
names = ["plan", "look up", "look_up", "yes", "Größe/2", "plan: now"]
for name in names:
    builder.add_node(name.replace(":", ""), lambda state: {"answer": ""})
builder.add_edge(START, "plan")
graph = builder.compile()

def build():
    return graph

def with_config(config):
    return graph if config == {} else None

async def build_async():
    return graph

@contextlib.asynccontextmanager
async def opened(config, checkpointer=None):
    yield graph
"""


LONG = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
builder = StateGraph(TypedDict("State", {"n": int}))
for name in ("分" * 90, "分" * 89 + "析", "x" * 240):
    builder.add_node(name, lambda state: state)
    builder.add_edge(START, name)
graph = builder.compile()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    return tmp_path


def files(project: Path) -> dict[str, str]:
    root = project / "config"
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.yaml"))}


@pytest.mark.parametrize(
    "target",
    ["app.py:graph", "app:graph", "app:build", "./app.py:build", "app:with_config", "app:build_async", "app:opened"],
)
def test_one_file_is_written_for_each_node_and_all_are_valid(project: Path, target: str) -> None:
    ran = tierlens(project, "init", target, "--brand", "Kisqali", "--brand", "NO", "--app", "my: app")

    assert (ran.code, ran.err) == (0, "")
    policies = config.load_policies(project / "config")
    assert set(policies.agents) == {"plan", "look up", "look_up", "yes", "Größe/2", "plan now"}
    assert (policies.app, policies.brands) == ("my: app", ("Kisqali", "NO"))
    assert len(files(project)) == 7


def test_a_node_with_a_name_too_long_for_a_file_has_one(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LONG, encoding="utf-8")

    assert tierlens(tmp_path, "init", "app:graph").code == 0
    assert set(config.load_policies(tmp_path / "config").agents) == {"分" * 90, "分" * 89 + "析", "x" * 240}


def test_the_files_go_where_they_will_be_read(project: Path) -> None:
    (project / ".env").write_text("TIERLENS_CONFIG_DIR=conf\n")

    assert tierlens(project, "init", "app:graph").code == 0
    assert "conf: ok, 6 agents" in tierlens(project, "check").out
    assert tierlens(project, "init", "app:graph", "--config-dir", "other").code == 0
    assert (project / "other/schemas/agent.json").exists()


def test_every_flag_is_explained_and_valid_once_uncommented(project: Path) -> None:
    tierlens(project, "init", "app:graph")
    path = project / "config/agents/plan.yaml"
    lines = path.read_text().splitlines()
    flags = [line.removeprefix("# ") for line in lines if line.startswith("#") and not line.endswith((".", ".json"))]
    path.write_text("\n".join(["agent: plan", *flags]).replace("# tier", "tier"))

    assert [str(error) for error in config.check(project / "config")] == []
    assert config.load_policies(project / "config").agents["name_in_the_graph"].tier == 1


def test_the_keys_of_the_state_are_named(project: Path) -> None:
    tierlens(project, "init", "app:graph")

    assert "the graph has: question, answer" in files(project)["agents/plan.yaml"]


def test_editors_find_the_schema_of_each_file(project: Path) -> None:
    tierlens(project, "init", "app:graph")

    for name, text in files(project).items():
        first = text.splitlines()[0]
        schema = (project / "config" / name).parent / first.partition("$schema=")[2]
        assert first.startswith("# yaml-language-server: ")
        assert schema.is_file()


def test_nothing_is_overwritten_without_force(project: Path) -> None:
    tierlens(project, "init", "app:graph")
    (project / "config/agents/plan.yaml").write_text("agent: plan\ntier: 9\n")
    (project / "config/agents/yes.yaml").unlink()

    refused = tierlens(project, "init", "app:graph")

    assert refused.code == 2
    assert "config/agents/plan.yaml" in refused.err
    assert "give --force" in refused.err
    assert "tier: 9" in files(project)["agents/plan.yaml"]
    assert "agents/yes.yaml" not in files(project)
    assert tierlens(project, "init", "app:graph", "--force").code == 0
    assert "tier: 9" not in files(project)["agents/plan.yaml"]


def test_a_dry_run_writes_nothing(project: Path) -> None:
    ran = tierlens(project, "init", "app:graph", "--dry-run")

    assert ran.code == 0
    assert "# config/agents/plan.yaml" in ran.out
    assert not (project / "config").exists()


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("app.py:grph", "app.py:grph: grph is not in it; did you mean graph?"),
        ("app.py:names", "app.py:names: this list is not a graph: it has no nodes"),
        ("nowhere:graph", "nowhere: ModuleNotFoundError: No module named 'nowhere'"),
        ("nowhere.py:graph", "nowhere.py: ModuleNotFoundError: no file nowhere.py"),
        ("broken.py:graph", "broken.py: ZeroDivisionError: division by zero"),
        ("leaving.py:graph", "leaving.py: SystemExit: 3"),
        ("app.py", "app.py: this is not MODULE:GRAPH"),
    ],
)
def test_what_is_no_graph_is_refused(project: Path, target: str, complaint: str) -> None:
    (project / "broken.py").write_text("1 / 0")
    (project / "leaving.py").write_text("raise SystemExit(3)")

    ran = tierlens(project, "init", target)

    assert ran.code == 2
    assert ran.err.startswith(f"tierlens: {complaint}")
    assert "Traceback" not in ran.err
