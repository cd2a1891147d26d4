"""Tier 3: has the payer access score moved? A change point, then PSI and Kolmogorov-Smirnov around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import FloatArray, Panel, label
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the drift monitor. Say whether the access score moved, when and how far, and what to refit."


@dataclass(frozen=True, slots=True)
class Drift:
    """Attributes:
    month: first month after the change point, or None where there is no drift.
    magnitude: size of the move in standard deviations of the score before it; 0.0 without drift.
    direction: 1 up, -1 down, 0 none.
    psi: population stability index over deciles; above 0.25 is commonly called a major shift.
    ks: Kolmogorov-Smirnov distance between HCPs' means before and after.
    p_value: of the change point, by permutation of the months.
    """

    month: int | None
    magnitude: float
    direction: int
    psi: float
    ks: float
    p_value: float


@lru_cache(maxsize=32)
def watch(panel: Panel, *, level: float = 0.01) -> Drift:
    """The likeliest single shift of the monthly mean, if it is significant at ``level``."""
    access = panel.matrix("access")
    monthly = access.mean(axis=0)
    month, p_value = _change_point(monthly)
    before, after = access[:, :month], access[:, month:]
    psi = _stability_index(before.ravel(), after.ravel())
    ks = float(stats.ks_2samp(before.mean(axis=1), after.mean(axis=1)).statistic)
    if p_value > level:
        return Drift(None, 0.0, 0, psi, ks, p_value)
    shift = float((after.mean() - before.mean()) / before.std(ddof=1))
    return Drift(month, abs(shift), int(np.sign(shift)), psi, ks, p_value)


def _change_point(series: FloatArray, *, margin: int = 3, draws: int = 499) -> tuple[int, float]:
    """Where a split into two means explains most, and how often shuffled months explain as much."""
    rng = np.random.default_rng(0)
    explained = _explained_by_split(series[None, :], margin)[0]
    shuffled = _explained_by_split(rng.permuted(np.tile(series, (draws, 1)), axis=1), margin)
    beaten = int((shuffled.max(axis=1) >= explained.max()).sum())
    return int(explained.argmax()) + margin, (1 + beaten) / (1 + draws)


def _explained_by_split(rows: FloatArray, margin: int) -> FloatArray:
    """Share of each row's variance between the two sides of every split, (rows, splits)."""
    length = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    left = np.arange(margin, length - margin + 1)
    sums = centred.cumsum(axis=1)[:, left - 1]
    return np.asarray(sums**2 * length / (left * (length - left)) / (centred**2).sum(axis=1, keepdims=True))


def _stability_index(reference: FloatArray, current: FloatArray, bins: int = 10) -> float:
    """PSI over the reference's deciles: sum of (p - q) ln(p / q)."""
    inner = np.quantile(reference, np.linspace(0, 1, bins + 1))[1:-1]
    p = np.bincount(np.searchsorted(inner, current), minlength=bins) / len(current)
    q = np.bincount(np.searchsorted(inner, reference), minlength=bins) / len(reference)
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return float(((p - q) * np.log(p / q)).sum())


def run(state: State, narrator: Narrator) -> Update:
    drift = watch(load(state["brand"]))
    figures = {
        "drift since": "none" if drift.month is None else label(drift.month),
        "drift magnitude": drift.magnitude,
        "direction": {1: "up", -1: "down", 0: "none"}[drift.direction],
        "population stability index": drift.psi,
        "KS distance": drift.ks,
        "p-value": drift.p_value,
    }
    text = narrator.word(ROLE, state, figures)
    return found("drift_monitor", figures, text, drift_magnitude=drift.magnitude)
