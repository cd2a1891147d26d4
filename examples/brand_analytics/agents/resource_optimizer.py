"""Tier 4: where should the digital touches go? Response curves, a concave programme, a person's yes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from langgraph.types import interrupt
from scipy.optimize import LinearConstraint, curve_fit, minimize

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import SEGMENTS, FloatArray, Panel, demean
from examples.brand_analytics.state import State, Update, found, spread

ROLE = "You are the resource optimizer. Say what moves where, what it should bring, and who decided what."
WORTH_MOVING = 0.01
"""A plan is proposed where it adds at least this share of present new starts."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Touches per HCP and month by segment, at the same total.

    Attributes:
        present, proposed: touches by segment.
        expected_uplift: new starts a month that the move adds; ``low`` to ``high`` is its 90 % interval.
        moved: share of all touches that change segment.
        worthwhile: whether the move adds enough to ask for it.
    """

    present: dict[str, float]
    proposed: dict[str, float]
    expected_uplift: float
    low: float
    high: float
    moved: float
    worthwhile: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted response: cap (1 - exp(-touches / scale)), with the covariance of (cap, scale)."""

    cap: float
    scale: float
    covariance: FloatArray


def response(touches: FloatArray, cap: FloatArray | float, scale: FloatArray | float) -> FloatArray:
    """New starts per HCP and month; concave in ``touches``."""
    return np.asarray(cap * (1 - np.exp(-touches / scale)))


@lru_cache(maxsize=32)
def allocate(panel: Panel) -> Allocation:
    """The best split of today's touches, each segment kept between a third and 2.5 times its present."""
    curves = [fit_curve(panel, name) for name in SEGMENTS]
    touches, segment = panel.matrix("touches"), panel.per_hcp()["segment"].to_numpy()
    hcps = np.array([(segment == name).sum() for name in SEGMENTS], dtype=float)
    present = np.array([touches[segment == name].mean() for name in SEGMENTS])
    proposed = _best_split(curves, hcps, present)
    uplift, low, high = _uplift(curves, hcps, present, proposed)
    starts = float(panel.matrix("new_starts")[:, -6:].sum(axis=0).mean())
    return Allocation(
        _by_segment(present),
        _by_segment(proposed),
        uplift,
        low,
        high,
        moved=float(hcps @ np.abs(proposed - present) / 2 / (hcps @ present)),
        worthwhile=uplift > WORTH_MOVING * starts and low > 0,
    )


def fit_curve(panel: Panel, segment: str) -> Curve:
    """Nonlinear least squares on changes within HCPs and months, so that neither's level matters."""
    rows = panel.per_hcp()["segment"].to_numpy() == segment
    touches, starts = panel.matrix("touches")[rows], panel.matrix("new_starts")[rows]

    def within(x: FloatArray, cap: float, scale: float) -> FloatArray:
        return demean(response(x, cap, scale)).ravel()

    bounds = ([0.0, 0.5], [8.0, 15.0])
    fitted, covariance = curve_fit(within, touches, demean(starts).ravel(), p0=[1.5, 3.0], bounds=bounds)
    return Curve(float(fitted[0]), float(fitted[1]), covariance)


def _best_split(curves: list[Curve], hcps: FloatArray, present: FloatArray) -> FloatArray:
    cap, scale = np.array([curve.cap for curve in curves]), np.array([curve.scale for curve in curves])
    solution = minimize(
        lambda x: -hcps @ response(x, cap, scale),
        present,
        jac=lambda x: -hcps * cap / scale * np.exp(-x / scale),
        bounds=[(level / 3, level * 2.5) for level in present],
        constraints=LinearConstraint(hcps, hcps @ present, hcps @ present),
        method="SLSQP",
    )
    return np.asarray(solution.x)


def _uplift(
    curves: list[Curve], hcps: FloatArray, present: FloatArray, proposed: FloatArray
) -> tuple[float, float, float]:
    """The gain, and its 90 % interval over draws from the curves' sampling distributions."""
    rng = np.random.default_rng(0)

    def gain(cap: FloatArray, scale: FloatArray) -> FloatArray:
        return (response(proposed, cap, scale) - response(present, cap, scale)) @ hcps

    draws = [rng.multivariate_normal([c.cap, c.scale], c.covariance, 500) for c in curves]
    caps = np.column_stack([np.clip(draw[:, 0], 0, None) for draw in draws])
    scales = np.column_stack([np.clip(draw[:, 1], 0.25, None) for draw in draws])
    low, high = np.quantile(gain(caps, scales), [0.05, 0.95])
    point = gain(np.array([c.cap for c in curves]), np.array([c.scale for c in curves]))
    return float(point), float(low), float(high)


def _by_segment(values: FloatArray) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(SEGMENTS, values, strict=True)}


def run(state: State, narrator: Narrator) -> Update:
    """Proposes, waits for a person where there is something to decide, then words the outcome."""
    allocation = allocate(load(state["brand"]))
    approval = _ask(state["brand"], allocation) if allocation.worthwhile else _nothing_to_ask()
    figures = {
        "expected uplift": allocation.expected_uplift,
        "touches proposed": allocation.proposed,
        "touches now": allocation.present,
        "90 % interval": spread(allocation.low, allocation.high),
        "share of touches moved": allocation.moved,
        "decision": "approved" if approval["approved"] else "not made",
        "reason": approval["reason"],
    }
    text = narrator.word(ROLE, state, figures)
    uplift = allocation.expected_uplift if approval["approved"] else 0.0
    return found("resource_optimizer", figures, text, expected_uplift=uplift, approval=approval)


def _ask(brand: str, allocation: Allocation) -> dict[str, Any]:
    """Pause the graph; what the person answers is what this returns once it resumes."""
    answer = interrupt(
        {
            "action": "reallocate digital touches",
            "brand": brand,
            "present": allocation.present,
            "proposed": allocation.proposed,
            "expected_uplift": round(allocation.expected_uplift, 1),
            "low": round(allocation.low, 1),
            "high": round(allocation.high, 1),
            "moved": round(allocation.moved, 3),
        }
    )
    return {"approved": bool(answer["approved"]), "reason": str(answer["reason"])}


def _nothing_to_ask() -> dict[str, Any]:
    return {"approved": False, "reason": "the present split is as good as any within reach"}
