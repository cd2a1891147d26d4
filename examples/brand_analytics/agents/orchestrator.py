"""Tier 1: which agents does the question need? A deterministic classifier decides; Claude words the plan."""

from __future__ import annotations

from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.routes import Route, route
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the orchestrator. Say in one or two sentences who works on the question, and why these agents."
SURE = 0.4
"""Below this probability of the likeliest topic, a question in a running thread counts as a follow-up."""


def plan(question: str, earlier: list[str] | None) -> Route:
    """The route of a question; one that names no topic of its own goes the way of the question before it."""
    own = route(question)
    if own.confidence < SURE and earlier:
        return Route(tuple(earlier), own.confidence)
    return own


def run(state: State, narrator: Narrator) -> Update:
    chosen = plan(state["question"], state.get("plan"))
    figures = {"agents": list(chosen.agents), "routing confidence": chosen.confidence}
    text = narrator.word(ROLE, state, figures)
    return found("orchestrator", figures, text, plan=list(chosen.agents), routing_confidence=chosen.confidence)
