"""The simulation puts in what its Truth states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from examples.brand_analytics.brands import BRANDS, TRUTHS, load
from examples.brand_analytics.panel import SEGMENTS, label, simulate


def test_the_same_seed_gives_the_same_panel_and_another_seed_another():
    truth = TRUTHS["Kisqali"]
    one, same, other = simulate(truth, seed=1), simulate(truth, seed=1), simulate(truth, seed=2)
    pd.testing.assert_frame_equal(one.frame, same.frame)
    pd.testing.assert_frame_equal(one.feedback, same.feedback)
    assert not one.frame.equals(other.frame)


def test_a_panel_has_a_row_per_hcp_and_month():
    panel = simulate(TRUTHS["Fabhalta"], hcps=40, months=24)
    assert (panel.hcps, panel.months) == (40, 24)
    assert not panel.frame.duplicated(["hcp", "month"]).any()
    assert panel.matrix("new_starts").shape == (40, 24)


@pytest.mark.parametrize("brand", BRANDS)
def test_the_stated_detailing_effect_is_in_the_noise_free_means(brand: str):
    panel = load(brand)
    launch, hcps = panel.truth.launch_month, panel.per_hcp()
    expected, touches = panel.matrix("expected"), panel.matrix("touches")
    for segment in SEGMENTS:
        rows = (hcps["segment"] == segment).to_numpy()
        months = np.arange(panel.months)
        plain = hcps["potential"].to_numpy()[rows, None] * (1 - panel.truth.gap[segment])
        rest = expected[rows] - plain - panel.truth.market(months.astype(float))
        rest -= panel.truth.response(segment, touches[rows])
        detailed = hcps["detailed"].to_numpy()[rows]
        step = rest[:, launch:].mean(axis=1) - rest[:, :launch].mean(axis=1)
        assert step[detailed] == pytest.approx(panel.truth.detailing_effect[segment], abs=1e-9)
        assert step[~detailed] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("brand", BRANDS)
def test_touches_add_nothing_on_average_so_that_the_stated_gap_holds_at_present_touches(brand: str):
    truth = TRUTHS[brand]
    panel = simulate(truth, hcps=4000)
    hcps, expected = panel.per_hcp(), panel.matrix("expected").mean(axis=1)
    for segment in SEGMENTS:
        rows = ((hcps["segment"] == segment) & ~hcps["detailed"]).to_numpy()
        realised = expected[rows].sum() / hcps["potential"].to_numpy()[rows].sum()
        assert realised == pytest.approx(1 - truth.gap[segment], abs=0.005)


def test_larger_hcps_are_likelier_to_be_detailed_so_that_plain_comparisons_are_biased():
    panel = load("Remibrutinib")
    potential = panel.per_hcp().groupby("detailed")["potential"].mean()
    assert potential[True] > potential[False] + 0.5


def test_months_have_names():
    assert (label(0), label(23)) == ("2024-11", "2026-10")


def test_an_unknown_brand_has_no_panel():
    with pytest.raises(KeyError):
        load("Placebex")
