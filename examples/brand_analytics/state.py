"""What the agents share while they work on a question."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

Figures = Mapping[str, Any]
Update = dict[str, Any]


class Finding(TypedDict):
    """What one agent found: the figures it computed, and Claude's wording of them."""

    figures: dict[str, Any]
    text: str


def merge(old: dict[str, Finding], new: dict[str, Finding]) -> dict[str, Finding]:
    """Findings of a thread; an agent's newer finding replaces its older one."""
    return {**old, **new}


class State(TypedDict):
    """A thread's state. The panel is not in it: agents load it by brand."""

    question: str
    brand: str
    plan: NotRequired[list[str]]
    findings: Annotated[dict[str, Finding], merge]
    answer: NotRequired[str]
    answers: Annotated[list[str], operator.add]
    approval: NotRequired[dict[str, Any]]
    documents: NotRequired[list[str]]
    feedback: NotRequired[str]
    routing_confidence: NotRequired[float]
    causal_confidence: NotRequired[float]
    gap_score: NotRequired[float]
    uplift: NotRequired[float]
    drift_magnitude: NotRequired[float]
    sample_size: NotRequired[int]
    health_score: NotRequired[float]
    interval_coverage: NotRequired[float]
    expected_uplift: NotRequired[float]
    explained_share: NotRequired[float]
    evidence_score: NotRequired[float]
    calibration_error: NotRequired[float]
    calibrated_confidence: NotRequired[float]


def spread(low: float, high: float, form: str = ".3g") -> str:
    """An interval as text."""
    return f"{low:{form}} to {high:{form}}"


def found(agent: str, figures: Figures, text: str, **values: Any) -> Update:
    """A state update: the finding, and the numbers other agents and YAML metrics read by name."""
    return {"findings": {agent: {"figures": dict(figures), "text": text}}, **values}
