"""One LangGraph: the orchestrator chooses agents, each tier works in parallel, a person may decide."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .agents import (
    causal_impact,
    drift_monitor,
    experiment_designer,
    explainer,
    feedback_learner,
    gap_analyzer,
    health_score,
    heterogeneous_optimizer,
    orchestrator,
    prediction_synthesizer,
    resource_optimizer,
)
from .narrator import Narrator
from .routes import TIERS
from .state import State, Update

Graph = CompiledStateGraph[State, None, State, State]


class Agent(Protocol):
    """Computes, words and returns a state update."""

    def __call__(self, state: State, narrator: Narrator) -> Update: ...


RUN: Final[dict[str, Agent]] = {
    "orchestrator": orchestrator.run,
    "causal_impact": causal_impact.run,
    "gap_analyzer": gap_analyzer.run,
    "heterogeneous_optimizer": heterogeneous_optimizer.run,
    "drift_monitor": drift_monitor.run,
    "experiment_designer": experiment_designer.run,
    "health_score": health_score.run,
    "prediction_synthesizer": prediction_synthesizer.run,
    "resource_optimizer": resource_optimizer.run,
    "explainer": explainer.run,
    "feedback_learner": feedback_learner.run,
}


def build(llm: BaseChatModel, checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:
    """The compiled graph. Pausing for approval needs a checkpointer; without one, threads live in memory."""
    narrator, graph = Narrator(llm), StateGraph(State)
    graph.add_edge(START, "orchestrator")
    for tier, agents in TIERS.items():
        for agent in agents:
            graph.add_node(agent, partial(RUN[agent], narrator=narrator))
            graph.add_conditional_edges(agent, _router(tier), _later(tier))
    return graph.compile(checkpointer=checkpointer or InMemorySaver(), name="brand_analytics")


def next_agents(state: State, *, tier: int) -> list[str]:
    """The planned agents of the next tier that has any; they run in parallel."""
    planned = set(state.get("plan", []))
    for later in range(tier + 1, max(TIERS) + 1):
        if chosen := [agent for agent in TIERS[later] if agent in planned]:
            return chosen
    return [END]


def _router(tier: int) -> Callable[[State], list[str]]:
    """``next_agents`` after a tier, with a name for the trace; a partial has none."""

    def next_tier(state: State) -> list[str]:
        return next_agents(state, tier=tier)

    return next_tier


def _later(tier: int) -> list[str]:
    return [agent for later, agents in TIERS.items() if later > tier for agent in agents] + [END]
