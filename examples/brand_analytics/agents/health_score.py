"""Tier 3: how is the brand doing? Four components between 0 and 1, and their weighted geometric mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import FloatArray, Panel
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the health score agent. Give the score, what holds it down, and what would lift it."
WEIGHTS = {"conversion": 0.4, "momentum": 0.3, "reach": 0.15, "access": 0.15}


@dataclass(frozen=True, slots=True)
class Health:
    """Attributes:
    score: 0 to 100, the weighted geometric mean of the components: one bad component cannot hide.
    components: each between 0 and 1, by name.
    weakest: the component that costs most points.
    """

    score: float
    components: dict[str, float]
    weakest: str


def assess(panel: Panel) -> Health:
    """Health on observed new starts."""
    return score_of(panel, panel.matrix("new_starts"))


@lru_cache(maxsize=32)
def _context(panel: Panel) -> tuple[float, float, float]:
    """Potential per HCP, share of HCPs detailed, present mean access score."""
    hcps = panel.per_hcp()
    recent_access = panel.matrix("access")[:, -3:].mean()
    return float(hcps["potential"].mean()), float(hcps["detailed"].mean()), float(recent_access)


def score_of(panel: Panel, starts: FloatArray) -> Health:
    """Health with ``starts`` (HCPs, months) as the outcome, so that noise-free starts can be scored too."""
    potential, reach, access = _context(panel)
    components = {
        "conversion": _share(starts[:, -6:].mean() / potential),
        "momentum": _momentum(starts[:, -12:].mean(axis=0)),
        "reach": _share(reach),
        "access": _share(access),
    }
    lost = {name: WEIGHTS[name] * math.log(value) for name, value in components.items()}
    return Health(100 * math.exp(sum(lost.values())), components, min(lost, key=lambda name: lost[name]))


def _momentum(monthly: FloatArray) -> float:
    """Yearly growth by Theil-Sen slope, on a scale where standing still is 0.5 and +50 % is 0.82."""
    slope = float(stats.theilslopes(monthly).slope)
    return _share(1 / (1 + math.exp(-3 * 12 * slope / float(monthly.mean()))))


def _share(value: float) -> float:
    return float(np.clip(value, 0.01, 1.0))


def run(state: State, narrator: Narrator) -> Update:
    health = assess(load(state["brand"]))
    figures = {
        "health score": health.score,
        "components": health.components,
        "weakest component": health.weakest,
    }
    return found("health_score", figures, narrator.word(ROLE, state, figures), health_score=health.score)
