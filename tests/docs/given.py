"""What a page assumes that its reader has: a graph, and what it is called with."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    question: str
    brand: str
    answer: str
    causal_confidence: float


def _causal_impact(state: State) -> State:
    return {"causal_confidence": 0.83}


def _explainer(state: State) -> State:
    return {"answer": "Detailing caused most of it."}


def graph() -> Any:
    """Two agents, one after the other."""
    made = StateGraph(State)
    made.add_node("causal_impact", _causal_impact)
    made.add_node("explainer", _explainer)
    made.add_edge(START, "causal_impact")
    made.add_edge("causal_impact", "explainer")
    made.add_edge("explainer", END)
    return made.compile(name="brand_analytics")


def inputs() -> State:
    return {"question": "Did detailing cause the growth?", "brand": "Kisqali"}
