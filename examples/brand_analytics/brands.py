"""The three brands' true parameters. The names are known; every number is invented."""

from __future__ import annotations

from functools import cache
from typing import Final

from .panel import SEGMENTS, Panel, Truth, simulate


def _by_segment(*values: float) -> dict[str, float]:
    """Values in the order academic, large_practice, community, early_adopter."""
    return dict(zip(SEGMENTS, values, strict=True))


TRUTHS: Final = {
    "Remibrutinib": Truth(
        brand="Remibrutinib",
        indication="chronic spontaneous urticaria",
        detailing_effect=_by_segment(0.4, 0.9, 0.6, 1.8),
        gap=_by_segment(0.42, 0.50, 0.63, 0.38),
        touches=_by_segment(8.0, 6.0, 2.0, 4.0),
        touch_cap=_by_segment(0.9, 1.6, 2.4, 2.8),
        touch_scale=_by_segment(2.0, 3.0, 5.0, 4.0),
        drift_month=15,
        drift_size=0.6,
        trend=0.05,
        season=0.35,
        calibration_slope=0.6,
    ),
    "Fabhalta": Truth(
        brand="Fabhalta",
        indication="paroxysmal nocturnal haemoglobinuria and IgA nephropathy",
        detailing_effect=_by_segment(1.5, 0.8, 0.3, 0.6),
        gap=_by_segment(0.35, 0.46, 0.58, 0.50),
        touches=_by_segment(4.0, 4.0, 4.0, 4.0),
        touch_cap=_by_segment(1.8, 1.8, 1.8, 1.8),
        touch_scale=_by_segment(3.0, 3.0, 3.0, 3.0),
        drift_month=None,
        drift_size=0.0,
        trend=0.03,
        season=0.20,
        calibration_slope=1.0,
    ),
    "Kisqali": Truth(
        brand="Kisqali",
        indication="HR+/HER2- breast cancer",
        detailing_effect=_by_segment(0.7, 1.2, 1.6, 0.5),
        gap=_by_segment(0.40, 0.55, 0.48, 0.36),
        touches=_by_segment(7.0, 3.0, 3.0, 7.0),
        touch_cap=_by_segment(1.0, 2.6, 2.2, 1.1),
        touch_scale=_by_segment(1.5, 4.0, 5.0, 2.0),
        drift_month=18,
        drift_size=-0.9,
        trend=-0.03,
        season=0.30,
        calibration_slope=0.8,
        calibration_intercept=-0.3,
    ),
}
BRANDS: Final = tuple(TRUTHS)


@cache
def load(brand: str) -> Panel:
    """The brand's panel; each brand has a seed of its own.

    Raises:
        KeyError: there is no such brand.
    """
    return simulate(TRUTHS[brand], seed=2026 + BRANDS.index(brand))
