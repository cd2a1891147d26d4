"""Tier 2: who gains most from detailing? A T-learner, judged on HCPs it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import StratifiedKFold

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import SEGMENTS, BoolArray, FloatArray, Panel
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the heterogeneous effects agent. Say which segment to detail first and what targeting gains."


@dataclass(frozen=True, slots=True)
class Targeting:
    """Attributes:
    by_segment: added new starts per detailed HCP and month, by segment.
    uplift: what detailing the third predicted to gain most adds per HCP and month, over detailing at random.
    uplift_se: its standard error; both are measured on HCPs the model was not fitted to.
    best: the segment with the largest effect.
    """

    by_segment: dict[str, float]
    uplift: float
    uplift_se: float
    best: str


@lru_cache(maxsize=32)
def target(panel: Panel) -> Targeting:
    """Effects by segment, and the held-out gain of targeting by predicted effect."""
    hcps, change = panel.per_hcp(), panel.change_at_launch()
    detailed = hcps["detailed"].to_numpy(dtype=bool)
    top = _top_third_held_out(_features(hcps), change, detailed)
    best_effect, best_se = _effect(change[top], detailed[top])
    rest_effect, rest_se = _effect(change[~top], detailed[~top])
    by_segment = {
        name: _effect(change[rows], detailed[rows])[0]
        for name in SEGMENTS
        for rows in [hcps["segment"].to_numpy() == name]
    }
    # The average HCP is a third top and two thirds rest, so the gain is two thirds of their difference.
    uplift, se = 2 / 3 * (best_effect - rest_effect), 2 / 3 * float(np.hypot(best_se, rest_se))
    return Targeting(by_segment, uplift, se, max(by_segment, key=lambda name: by_segment[name]))


def _features(hcps: pd.DataFrame) -> FloatArray:
    dummies = [(hcps["segment"] == name).to_numpy(dtype=float) for name in SEGMENTS]
    return np.column_stack([*dummies, np.log(hcps["potential"])])


def _top_third_held_out(features: FloatArray, change: FloatArray, detailed: BoolArray) -> BoolArray:
    """Whom two ridge regressions, fitted on the other folds, predict to gain most.

    The third is taken fold by fold: fits of different folds have levels of their own, and ranking across
    them would prefer folds whose held-out outcomes happen to be low.
    """
    top = np.zeros(len(change), dtype=bool)
    for fitted, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(features, detailed):
        with_it, without = fitted[detailed[fitted]], fitted[~detailed[fitted]]
        predicted = RidgeCV().fit(features[with_it], change[with_it]).predict(features[held_out])
        predicted -= RidgeCV().fit(features[without], change[without]).predict(features[held_out])
        top[held_out] = predicted >= np.quantile(predicted, 2 / 3)
    return top


def _effect(change: FloatArray, detailed: BoolArray) -> tuple[float, float]:
    """Difference-in-differences among some HCPs, with its standard error."""
    with_it, without = change[detailed], change[~detailed]
    variance = with_it.var(ddof=1) / len(with_it) + without.var(ddof=1) / len(without)
    return float(with_it.mean() - without.mean()), float(np.sqrt(variance))


def run(state: State, narrator: Narrator) -> Update:
    targeting = target(load(state["brand"]))
    figures = {
        "segment to detail first": targeting.best,
        "uplift": targeting.uplift,
        "effect by segment": targeting.by_segment,
        "standard error of the uplift": targeting.uplift_se,
    }
    text = narrator.word(ROLE, state, figures)
    return found("heterogeneous_optimizer", figures, text, uplift=targeting.uplift)
