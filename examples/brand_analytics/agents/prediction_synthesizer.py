"""Tier 4: what comes next? A regression forecast, with intervals held to account by a rolling backtest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import statsmodels.api as sm

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import SEGMENTS, FloatArray, Panel, label
from examples.brand_analytics.state import State, Update, found, spread

from .causal_impact import estimate

ROLE = "You are the prediction synthesizer. Give the forecast and its interval, and say how often those held."
LEVEL = 0.8


@dataclass(frozen=True, slots=True)
class Forecast:
    """New starts a month over all HCPs, for the months after the panel.

    Attributes:
        mean, low, high: (months ahead,); the interval is meant to hold in 80 % of months.
        coverage: share of backtested months that fell within their interval.
        backtests: how many those were.
        upside: new starts a month if all HCPs were detailed, by the causal effect.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    coverage: float
    backtests: int
    upside: float


@lru_cache(maxsize=32)
def forecast(panel: Panel, *, ahead: int = 3) -> Forecast:
    """Trend, season and programme coverage, fitted to the monthly totals."""
    starts = panel.matrix("new_starts")
    months, launch = panel.months, panel.launch_month
    mean, low, high = _predict(starts.sum(axis=0), _design(months + ahead, launch))
    hits = _backtest(panel)
    undetailed = int((~panel.per_hcp()["detailed"]).sum())
    return Forecast(mean, low, high, float(hits.mean()), hits.size, undetailed * estimate(panel).effect)


def _design(months: int, launch: int) -> FloatArray:
    """Intercept, trend, one yearly harmonic and a step at the launch, (months, 5)."""
    month = np.arange(months, dtype=float)
    angle = 2 * np.pi * month / 12
    return np.column_stack([np.ones(months), month, np.sin(angle), np.cos(angle), month >= launch])


def _predict(series: FloatArray, design: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit to the months there are, predict the rows of ``design`` beyond them."""
    fit = sm.OLS(series, design[: len(series)]).fit()
    ahead = fit.get_prediction(design[len(series) :]).summary_frame(alpha=1 - LEVEL)
    return (
        ahead["mean"].to_numpy(dtype=float),
        ahead["obs_ci_lower"].to_numpy(dtype=float),
        ahead["obs_ci_upper"].to_numpy(dtype=float),
    )


def _backtest(panel: Panel, origins: int = 8) -> FloatArray:
    """Whether each of the last months fell into the interval forecast one month before, by segment."""
    starts, segment = panel.matrix("new_starts"), panel.per_hcp()["segment"].to_numpy()
    design, hits = _design(panel.months, panel.launch_month), []
    for name in SEGMENTS:
        series = starts[segment == name].sum(axis=0)
        for end in range(panel.months - origins, panel.months):
            _, low, high = _predict(series[:end], design[: end + 1])
            hits.append(low[0] <= series[end] <= high[0])
    return np.array(hits, dtype=float)


def run(state: State, narrator: Narrator) -> Update:
    panel = load(state["brand"])
    ahead = forecast(panel)
    figures = {
        "forecast": {
            label(panel.months + step): f"{mean:.0f} ({spread(ahead.low[step], ahead.high[step], '.0f')})"
            for step, mean in enumerate(ahead.mean)
        },
        "interval": f"{LEVEL:.0%}",
        "coverage in the backtest": ahead.coverage,
        "backtested months": ahead.backtests,
        "upside of detailing everybody": ahead.upside,
    }
    text = narrator.word(ROLE, state, figures)
    return found("prediction_synthesizer", figures, text, interval_coverage=ahead.coverage)
