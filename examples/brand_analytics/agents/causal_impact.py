"""Tier 2: what did detailing cause? Two-way fixed effects, and three attempts to refute the answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import statsmodels.api as sm
from scipy import stats

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import BoolArray, FloatArray, Panel, demean
from examples.brand_analytics.state import State, Update, found, spread

ROLE = "You are the causal impact agent. Say what detailing caused, how surely, and what could refute it."
BREAK_EVEN = 0.75
"""New starts per detailed HCP and month that pay for the visits."""


@dataclass(frozen=True, slots=True)
class Impact:
    """The average effect on the detailed.

    Attributes:
        effect: added new starts per detailed HCP and month; ``low`` to ``high`` is its 95 % interval.
        se: standard error, clustered by HCP.
        refutations: whether the estimate survived each test.
        confidence: P(effect > BREAK_EVEN), times the share of refutations survived; 0 to 1.
    """

    effect: float
    low: float
    high: float
    se: float
    refutations: dict[str, bool]
    confidence: float


@lru_cache(maxsize=32)
def estimate(panel: Panel) -> Impact:
    """Difference-in-differences by two-way fixed effects; one launch date, so no staggered-adoption bias."""
    effect, se = _two_way_fixed_effects(panel.matrix("new_starts"), panel.matrix("treated"))
    refutations = {
        "parallel_trends": _parallel_before_launch(panel),
        "placebo_launch": _no_effect_before_launch(panel),
        "permuted_hcps": _beats_permutations(panel),
    }
    survived = sum(refutations.values()) / len(refutations)
    confidence = float(stats.norm.cdf((effect - BREAK_EVEN) / se)) * survived
    return Impact(effect, effect - 1.96 * se, effect + 1.96 * se, se, refutations, confidence)


def _two_way_fixed_effects(outcome: FloatArray, treatment: FloatArray) -> tuple[float, float]:
    hcps = np.repeat(np.arange(len(outcome)), outcome.shape[1])
    model = sm.OLS(demean(outcome).ravel(), demean(treatment).ravel())
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": hcps})
    return float(fit.params[0]), float(fit.bse[0])


def _parallel_before_launch(panel: Panel) -> bool:
    """Before the launch, the HCPs detailed later gain as fast as the others (5 % level)."""
    before = np.arange(panel.launch_month)
    detailed = panel.matrix("detailed")[:, before]
    slope, se = _two_way_fixed_effects(panel.matrix("new_starts")[:, before], detailed * before)
    return bool(abs(slope / se) < 1.96)


def _no_effect_before_launch(panel: Panel) -> bool:
    """A launch pretended halfway through the months before the real one does nothing (5 % level)."""
    launch = panel.launch_month
    pretended = panel.matrix("detailed")[:, :launch] * (np.arange(launch) >= launch // 2)
    effect, se = _two_way_fixed_effects(panel.matrix("new_starts")[:, :launch], pretended)
    return bool(abs(effect / se) < 1.96)


def _beats_permutations(panel: Panel, draws: int = 500) -> bool:
    """The effect is larger than with the detailed HCPs drawn at random in 95 % of draws."""
    rng = np.random.default_rng(0)
    change, detailed = panel.change_at_launch(), panel.per_hcp()["detailed"].to_numpy(dtype=bool)
    observed = _difference(change, detailed)
    permuted = np.array([_difference(change, rng.permutation(detailed)) for _ in range(draws)])
    return bool((np.abs(permuted) < abs(observed)).mean() > 0.95)


def _difference(change: FloatArray, detailed: BoolArray) -> float:
    return float(change[detailed].mean() - change[~detailed].mean())


def run(state: State, narrator: Narrator) -> Update:
    impact = estimate(load(state["brand"]))
    figures = {
        "effect": impact.effect,
        "95 % interval": spread(impact.low, impact.high),
        "causal confidence": impact.confidence,
        "break-even effect": BREAK_EVEN,
        "refutations survived": [name for name, survived in impact.refutations.items() if survived],
    }
    text = narrator.word(ROLE, state, figures)
    return found("causal_impact", figures, text, causal_confidence=impact.confidence)
