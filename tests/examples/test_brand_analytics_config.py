"""config/ belongs to this application: its agents, tiers and metrics are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

import examples.brand_analytics as application
from examples.brand_analytics.app import ask
from examples.brand_analytics.brands import BRANDS
from examples.brand_analytics.graph import build
from examples.brand_analytics.questions import Question
from examples.brand_analytics.routes import AGENTS, TIERS
from tierlens.config import check, load_policies
from tierlens.errors import UnknownBrand

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def policies():
    return load_policies(ROOT / "config")


def test_the_folder_is_valid():
    assert list(check(ROOT / "config")) == []


def test_every_agent_has_a_file_with_its_tier(policies):
    tiers = {agent: tier for tier, agents in TIERS.items() for agent in agents}
    assert {agent: policy.tier for agent, policy in policies.agents.items()} == tiers


def test_the_brands_are_the_applications_and_others_are_rejected(policies):
    assert policies.brands == BRANDS
    with pytest.raises(UnknownBrand, match="Remibrutinib, Fabhalta, Kisqali"):
        policies.brand("Placebex")


def test_every_metric_names_a_number_that_its_agent_puts_into_the_state(policies, llm):
    graph = build(llm)
    config = {"configurable": {"thread_id": "metrics"}}
    ask(Question("Kisqali", "Give me a full review of the brand", "", "", "metrics"), graph=graph)
    values = graph.get_state(config).values
    for agent in AGENTS:
        metrics = policies.agents[agent].metrics
        assert metrics, agent
        for path in (rule.path for rule in metrics.values()):
            assert isinstance(values[path.removeprefix("outputs.")], int | float), path


def test_the_agents_contain_no_tierlens():
    folder = Path(application.__file__).parent
    users = {path.name for path in folder.rglob("*.py") if "import tierlens" in path.read_text()}
    users |= {path.name for path in folder.rglob("*.py") if "from tierlens" in path.read_text()}
    assert users == {"claude.py"}


def test_no_agent_reads_the_truth_or_the_noise_free_means():
    folder = Path(application.__file__).parent / "agents"
    for path in folder.glob("*.py"):
        text = path.read_text()
        assert ".truth" not in text, path.name
        assert '"expected"' not in text, path.name
