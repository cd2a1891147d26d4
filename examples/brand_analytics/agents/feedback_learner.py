"""Tier 5: can stated confidence be believed? Platt scaling on the outcomes of earlier recommendations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import statsmodels.api as sm

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import FloatArray, Panel
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the feedback learner. Say how far stated confidence can be believed and what it is worth here."


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit(P(worked)) = intercept + slope logit(stated confidence).

    Attributes:
        error: mean absolute difference between stated confidence and fitted success rate; 0 is calibrated.
        brier_stated, brier_calibrated: mean squared error on a held-out half, before and after calibration.
    """

    intercept: float
    slope: float
    slope_se: float
    error: float
    brier_stated: float
    brier_calibrated: float

    def apply(self, confidence: float) -> float:
        """What a stated confidence is worth."""
        return float(_chance(self.intercept, self.slope, _logit(np.array([confidence])))[0])


@lru_cache(maxsize=32)
def learn(panel: Panel) -> Calibration:
    """Calibration from the feedback log; every second row is held out to judge it."""
    stated = panel.feedback["confidence"].to_numpy(dtype=float)
    worked = panel.feedback["worked"].to_numpy(dtype=float)
    whole, half = _fit(stated, worked), _fit(stated[::2], worked[::2])
    fitted = _chance(whole.params[0], whole.params[1], _logit(stated))
    judged = _chance(half.params[0], half.params[1], _logit(stated[1::2]))
    return Calibration(
        intercept=float(whole.params[0]),
        slope=float(whole.params[1]),
        slope_se=float(whole.bse[1]),
        error=float(np.abs(fitted - stated).mean()),
        brier_stated=float(((stated[1::2] - worked[1::2]) ** 2).mean()),
        brier_calibrated=float(((judged - worked[1::2]) ** 2).mean()),
    )


def _fit(stated: FloatArray, worked: FloatArray) -> sm.Logit:
    return sm.Logit(worked, sm.add_constant(_logit(stated))).fit(disp=False)


def _logit(share: FloatArray) -> FloatArray:
    share = np.clip(share, 0.01, 0.99)
    return np.asarray(np.log(share / (1 - share)))


def _chance(intercept: float, slope: float, logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-(intercept + slope * logit))))


def run(state: State, narrator: Narrator) -> Update:
    calibration = learn(load(state["brand"]))
    stated = state.get("causal_confidence", 0.8)
    worth = calibration.apply(stated)
    figures = {
        "calibration slope": calibration.slope,
        "calibration error": calibration.error,
        "Brier score stated": calibration.brier_stated,
        "Brier score calibrated": calibration.brier_calibrated,
        "stated confidence": stated,
        "calibrated confidence": worth,
    }
    # Field feedback can name people, so its wording has a key of its own, which config/ keeps out of traces.
    return found(
        "feedback_learner",
        figures,
        "",
        feedback=narrator.word(ROLE, state, figures),
        calibration_error=calibration.error,
        calibrated_confidence=worth,
    )
