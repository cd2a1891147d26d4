"""Which agents a question needs: a classifier over example questions, and what those agents build on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

TIERS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("orchestrator",),
    2: ("causal_impact", "gap_analyzer", "heterogeneous_optimizer"),
    3: ("drift_monitor", "experiment_designer", "health_score"),
    4: ("prediction_synthesizer", "resource_optimizer"),
    5: ("explainer", "feedback_learner"),
}
AGENTS: Final = tuple(agent for tier in TIERS.values() for agent in tier)

REVIEW: Final = "review"
"""The topic of questions that need everybody."""

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "causal_impact": (
        "Did detailing cause the growth in new starts?",
        "What is the causal effect of the visits?",
        "How much did the programme add, and how sure are we?",
        "Is the effect of representatives real or just selection?",
    ),
    "gap_analyzer": (
        "Where is potential left unmet?",
        "Which segment has the widest gap?",
        "Where do we realise least of the potential?",
        "How large is the gap between potential and new starts?",
    ),
    "heterogeneous_optimizer": (
        "Which segment responds best to visits?",
        "Whom should we target first?",
        "Who gains most from detailing?",
        "What uplift does targeting bring over random visits?",
    ),
    "drift_monitor": (
        "Has payer access shifted?",
        "Did the access score drift, and when?",
        "Must models be refitted because of a shift in coverage?",
        "Is there drift in our inputs?",
    ),
    "experiment_designer": (
        "How many prescribers does an experiment need?",
        "Design a test of the visits",
        "How large and long must a pilot be?",
        "What sample size and power would a trial of detailing have?",
    ),
    "health_score": (
        "How healthy is the brand?",
        "What is the health score and what holds it down?",
        "How is the brand doing overall?",
        "Which component of brand health is weakest?",
    ),
    "prediction_synthesizer": (
        "What will new starts be next quarter?",
        "Forecast the next three months",
        "How reliable is the forecast interval?",
        "What do we expect for the coming months?",
    ),
    "resource_optimizer": (
        "How should we reallocate digital touches?",
        "Where should the budget go?",
        "Should we move e-mails and webinars between segments?",
        "What is the best allocation of our resources?",
    ),
    "feedback_learner": (
        "Can we believe the stated confidence?",
        "Did earlier recommendations work as promised?",
        "Is our confidence calibrated?",
        "What have we learned from field feedback?",
    ),
    REVIEW: (
        "Give me a full review of the brand",
        "Prepare the quarterly business review",
        "Complete review: everything for the leadership meeting",
        "A full picture for the board, all agents please",
    ),
}

REQUIRES: Final[Mapping[str, Sequence[str]]] = {
    "experiment_designer": ("causal_impact",),
    "prediction_synthesizer": ("causal_impact",),
    "resource_optimizer": ("gap_analyzer", "heterogeneous_optimizer"),
    "feedback_learner": ("causal_impact",),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Attributes:
    agents: in order of tier, always with orchestrator and explainer.
    confidence: the classifier's probability of the likeliest topic.
    """

    agents: tuple[str, ...]
    confidence: float


def route(question: str, *, near: float = 0.6) -> Route:
    """The likeliest topic's agent, those nearly as likely, and whatever they build on."""
    model = _classifier()
    chances: Mapping[str, float] = dict(zip(model.classes_, model.predict_proba([question])[0].tolist(), strict=True))
    likeliest = max(chances.values())
    topics = {topic for topic, chance in chances.items() if chance >= near * likeliest}
    return Route(_with_requirements(topics), likeliest)


def _with_requirements(topics: set[str]) -> tuple[str, ...]:
    if REVIEW in topics:
        return AGENTS
    needed = topics | {"orchestrator", "explainer"}
    for topic in topics:
        needed |= set(REQUIRES.get(topic, ()))
    return tuple(agent for agent in AGENTS if agent in needed)


@cache
def _classifier() -> Pipeline:
    texts = [text for examples in EXAMPLES.values() for text in examples]
    topics: list[Any] = [topic for topic, examples in EXAMPLES.items() for _ in examples]
    words = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=30.0)).fit(texts, topics)
