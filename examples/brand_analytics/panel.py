"""A simulated HCP-by-month panel whose true effects are stated, so that every estimate can be checked.

Nothing here is real: no prescriber, brand figure or market was observed. For HCP i in segment s, month t::

    new_starts ~ Poisson(potential_i (1 - gap_s)                       what is realised without detailing
                         + trend (t - 11.5) + season sin(2 pi t / 12)  the market, the same for everybody
                         + effect_s detailed_i [t >= launch_month]     the detailing programme
                         + r_s(touches_it) - E r_s(touches))           digital touches, with saturation

    r_s(x) = cap_s (1 - exp(-x / scale_s))

HCPs with more potential are likelier to be detailed, so a plain comparison is biased and
difference-in-differences is not. ``access`` is a covariate whose mean moves by ``drift_size`` standard
deviations from ``drift_month`` on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SEGMENTS: Final = ("academic", "large_practice", "community", "early_adopter")
FIRST_MONTH: Final = pd.Period("2024-11", freq="M")
SIMULATED: Final = "All figures come from simulated data."

_ACCESS_MEAN, _ACCESS_SD = 0.60, 0.10
_TOUCH_DISPERSION = 2.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What the simulation puts in, and a perfect analyst would get out.

    Attributes:
        detailing_effect: added new starts per detailed HCP and month, by segment.
        launch_month: first month (0-based) of the detailing programme.
        gap: share of an HCP's potential not realised without detailing, by segment.
        drift_month: first month with the moved access score; None where nothing drifts.
        drift_size: that move, in standard deviations of the access score.
        touches: present digital touches per HCP and month, by segment.
        touch_cap, touch_scale: the response curve: new starts at saturation, and touches to reach 63 % of it.
        trend: new starts per HCP gained each month.
        season: amplitude of the yearly cycle, in new starts per HCP.
        calibration_slope, calibration_intercept: how a stated confidence c translates into success:
            logit(P(worked)) = intercept + slope logit(c). A slope below 1 is overconfidence.
    """

    brand: str
    indication: str
    detailing_effect: Mapping[str, float]
    gap: Mapping[str, float]
    touches: Mapping[str, float]
    touch_cap: Mapping[str, float]
    touch_scale: Mapping[str, float]
    drift_month: int | None
    drift_size: float
    trend: float
    season: float
    calibration_slope: float
    calibration_intercept: float = 0.0
    launch_month: int = 9

    def response(self, segment: str, touches: float | FloatArray) -> FloatArray:
        """New starts per HCP and month that ``touches`` a month bring in a segment."""
        cap, scale = self.touch_cap[segment], self.touch_scale[segment]
        return np.asarray(cap * (1 - np.exp(-np.asarray(touches) / scale)))

    def market(self, month: int | FloatArray) -> FloatArray:
        """What every HCP gains or loses in a month, whatever we do."""
        month = np.asarray(month)
        return np.asarray(self.trend * (month - 11.5) + self.season * np.sin(2 * np.pi * month / 12))


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One brand's simulated data.

    Attributes:
        frame: a row per HCP and month, sorted by both: hcp, month, segment, potential, detailed, treated,
            touches, access, new_starts; ``expected`` is the noise-free mean, for tests only.
        feedback: a row per earlier recommendation: stated confidence, and whether it worked.
    """

    truth: Truth
    frame: pd.DataFrame
    feedback: pd.DataFrame

    @property
    def months(self) -> int:
        return int(self.frame["month"].max()) + 1

    @property
    def launch_month(self) -> int:
        """When detailing began: no secret, unlike the rest of the truth, which no agent reads."""
        return self.truth.launch_month

    @property
    def hcps(self) -> int:
        return len(self.frame) // self.months

    def matrix(self, column: str) -> FloatArray:
        """A column as (HCPs, months)."""
        return np.reshape(self.frame[column].to_numpy(dtype=float), (self.hcps, self.months))

    def per_hcp(self) -> pd.DataFrame:
        """What does not change over time, a row per HCP: segment, potential, detailed."""
        rows = self.frame.loc[self.frame["month"] == 0, ["segment", "potential", "detailed"]]
        return rows.reset_index(drop=True)

    def change_at_launch(self) -> FloatArray:
        """Each HCP's mean new starts since the launch less the mean before it."""
        starts, launch = self.matrix("new_starts"), self.launch_month
        return np.asarray(starts[:, launch:].mean(axis=1) - starts[:, :launch].mean(axis=1))


def simulate(truth: Truth, *, seed: int = 2026, hcps: int = 400, months: int = 24) -> Panel:
    """Draw a panel; the same arguments give the same panel, to the last bit."""
    rng = np.random.default_rng(seed)
    segment = np.array(SEGMENTS)[np.arange(hcps) % len(SEGMENTS)]
    potential = np.clip(rng.lognormal(np.log(8.0), 0.35, hcps), 4.0, 20.0)
    detailed = rng.random(hcps) < 1 / (1 + np.exp(-0.25 * (potential - 8.0)))
    touches = _draw_touches(truth, segment, months, rng)
    expected = _expected_starts(truth, segment, potential, detailed, touches)
    frame = pd.DataFrame(
        {
            "hcp": np.repeat(np.arange(hcps), months),
            "month": np.tile(np.arange(months), hcps),
            "segment": np.repeat(segment, months),
            "potential": np.repeat(potential, months),
            "detailed": np.repeat(detailed, months),
            "treated": (detailed[:, None] & (np.arange(months) >= truth.launch_month)).ravel(),
            "touches": touches.ravel(),
            "access": _draw_access(truth, hcps, months, rng).ravel(),
            "new_starts": rng.poisson(expected).ravel(),
            "expected": expected.ravel(),
        }
    )
    return Panel(truth, frame, _draw_feedback(truth, rng))


def demean(values: FloatArray) -> FloatArray:
    """Remove HCP and month means from a balanced (HCPs, months) matrix: the two-way within transformation."""
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    return np.asarray(values - rows - columns + values.mean())


def label(month: int) -> str:
    """A month's name: 0 is "2024-11"."""
    return str(FIRST_MONTH + int(month))


def _draw_touches(
    truth: Truth, segment: npt.NDArray[np.str_], months: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    mean = np.array([truth.touches[name] for name in segment])[:, None]
    share = _TOUCH_DISPERSION / (_TOUCH_DISPERSION + mean)
    return rng.negative_binomial(_TOUCH_DISPERSION, share, size=(len(segment), months))


def _expected_starts(
    truth: Truth,
    segment: npt.NDArray[np.str_],
    potential: FloatArray,
    detailed: BoolArray,
    touches: npt.NDArray[np.int64],
) -> FloatArray:
    months = np.arange(touches.shape[1])
    expected = truth.market(months.astype(float))[None, :] + np.zeros(touches.shape)
    for name in SEGMENTS:
        rows = segment == name
        expected[rows] += (potential[rows] * (1 - truth.gap[name]))[:, None]
        expected[rows] += truth.detailing_effect[name] * (detailed[rows, None] & (months >= truth.launch_month))
        expected[rows] += truth.response(name, touches[rows].astype(float)) - _mean_response(truth, name)
    return np.maximum(expected, 0.05)


def _mean_response(truth: Truth, segment: str) -> float:
    """E r(touches) for negative binomial touches, from its probability generating function."""
    mean, size = truth.touches[segment], _TOUCH_DISPERSION
    decay = np.exp(-1 / truth.touch_scale[segment])
    share = size / (size + mean)
    return float(truth.touch_cap[segment] * (1 - (share / (1 - (1 - share) * decay)) ** size))


def _draw_access(truth: Truth, hcps: int, months: int, rng: np.random.Generator) -> FloatArray:
    own, monthly = rng.normal(0, 0.8, (hcps, 1)), rng.normal(0, 0.6, (hcps, months))
    score = own + monthly
    if truth.drift_month is not None:
        score[:, truth.drift_month :] += truth.drift_size
    return _ACCESS_MEAN + _ACCESS_SD * score


def _draw_feedback(truth: Truth, rng: np.random.Generator, rows: int = 600) -> pd.DataFrame:
    confidence = rng.uniform(0.52, 0.98, rows)
    logit = np.log(confidence / (1 - confidence))
    chance = 1 / (1 + np.exp(-(truth.calibration_intercept + truth.calibration_slope * logit)))
    return pd.DataFrame({"confidence": confidence, "worked": rng.random(rows) < chance})
