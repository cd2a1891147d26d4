"""Tier 3: how many HCPs does a test of detailing need? Power analysis on the panel's own variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from langchain_core.tools import tool
from statsmodels.stats.power import TTestIndPower

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import Panel
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the experiment designer. Recommend one design and say what it can and cannot detect."
DURATIONS = (3, 6, 9)
WORTHWHILE = 0.5


@dataclass(frozen=True, slots=True)
class Design:
    """A two-arm experiment randomised by HCP, analysed on each HCP's change of mean new starts.

    Attributes:
        months: length of the experiment, and of the baseline before it.
        sd: standard deviation of that change between HCPs.
        hcps_per_arm: what detects ``effect`` new starts per HCP and month with the stated power at 5 %.
    """

    months: int
    sd: float
    effect: float
    power: float
    hcps_per_arm: int


@tool
def sample_size(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """HCPs per arm that a two-sided t-test needs to detect ``effect``, given the outcome's ``sd``."""
    hcps = float(TTestIndPower().solve_power(effect_size=effect / sd, power=power, alpha=alpha))
    return math.ceil(hcps)


@lru_cache(maxsize=32)
def change_sd(panel: Panel, months: int) -> float:
    """SD between undetailed HCPs of the change from one block of months to the next, over the latest two."""
    starts = panel.matrix("new_starts")[~panel.matrix("detailed")[:, 0].astype(bool)]
    change = starts[:, -months:].mean(axis=1) - starts[:, -2 * months : -months].mean(axis=1)
    return float(np.std(change, ddof=1))


def design(panel: Panel, months: int, *, effect: float = WORTHWHILE, power: float = 0.8) -> Design:
    """The smallest experiment of a given length that detects ``effect``."""
    sd = change_sd(panel, months)
    request: dict[str, Any] = {"effect": effect, "sd": sd, "power": power}
    return Design(months, sd, effect, power, int(sample_size.invoke(request)))


def run(state: State, narrator: Narrator) -> Update:
    panel = load(state["brand"])
    designs = [design(panel, months) for months in DURATIONS]
    affordable = next((each for each in designs if 2 * each.hcps_per_arm <= panel.hcps), designs[-1])
    figures = {
        "HCPs per arm": affordable.hcps_per_arm,
        "months": affordable.months,
        "effect worth detecting": affordable.effect,
        "other designs": [f"{each.hcps_per_arm} in {each.months} months" for each in designs],
        "power": affordable.power,
    }
    text = narrator.word(ROLE, state, figures)
    return found("experiment_designer", figures, text, sample_size=2 * affordable.hcps_per_arm)
