"""Tier 2: where is potential left unmet? Realised against potential, with a bootstrap over HCPs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import SEGMENTS, FloatArray, Panel
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the gap analyzer. Name the segment with the widest gap and how many new starts it stands for."


@dataclass(frozen=True, slots=True)
class Gap:
    """Share of potential left unmet where nobody details; ``low`` to ``high`` is its 95 % interval."""

    share: float
    low: float
    high: float
    unmet_starts: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """Attributes:
    by_segment: each segment's gap; ``unmet_starts`` per month, over all its HCPs.
    score: the gap of the whole brand, weighted by potential; 0 to 1.
    widest: the segment with the widest gap.
    """

    by_segment: dict[str, Gap]
    score: float
    widest: str


@lru_cache(maxsize=32)
def measure(panel: Panel) -> Gaps:
    """Gaps from the HCPs nobody details, so that the programme's effect does not hide them."""
    hcps = panel.per_hcp().assign(realised=panel.matrix("new_starts").mean(axis=1))
    by_segment = {}
    for segment in SEGMENTS:
        all_of_it = hcps[hcps["segment"] == segment]
        untouched = all_of_it[~all_of_it["detailed"]]
        potential = float(all_of_it["potential"].sum())
        by_segment[segment] = _gap(
            untouched["realised"].to_numpy(dtype=float),
            untouched["potential"].to_numpy(dtype=float),
            potential,
        )
    unmet = sum(gap.unmet_starts for gap in by_segment.values())
    widest = max(by_segment, key=lambda segment: by_segment[segment].share)
    return Gaps(by_segment, unmet / float(hcps["potential"].sum()), widest)


def _gap(realised: FloatArray, potential: FloatArray, segment_potential: float, draws: int = 400) -> Gap:
    share = 1 - realised.sum() / potential.sum()
    picks = np.random.default_rng(0).integers(0, len(realised), (draws, len(realised)))
    drawn = 1 - realised[picks].sum(axis=1) / potential[picks].sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Gap(float(share), float(low), float(high), float(share * segment_potential))


def run(state: State, narrator: Narrator) -> Update:
    gaps = measure(load(state["brand"]))
    figures = {
        "gap score": gaps.score,
        "widest gap": gaps.widest,
        "gap by segment": {segment: gap.share for segment, gap in gaps.by_segment.items()},
        "unmet new starts a month there": gaps.by_segment[gaps.widest].unmet_starts,
    }
    return found("gap_analyzer", figures, narrator.word(ROLE, state, figures), gap_score=gaps.score)
