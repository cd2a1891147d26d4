"""Each agent's figures against the truth that the simulation states."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from examples.brand_analytics.agents import (
    causal_impact,
    drift_monitor,
    experiment_designer,
    explainer,
    feedback_learner,
    gap_analyzer,
    health_score,
    heterogeneous_optimizer,
    prediction_synthesizer,
    resource_optimizer,
)
from examples.brand_analytics.brands import BRANDS, TRUTHS, load
from examples.brand_analytics.panel import SEGMENTS, Panel, simulate

SEEDS = range(20)


@cache
def panels(brand: str) -> list[Panel]:
    return [simulate(TRUTHS[brand], seed=seed) for seed in SEEDS]


def true_effect(panel: Panel) -> float:
    """The average over those who were detailed."""
    hcps = panel.per_hcp()
    return float(hcps.loc[hcps["detailed"], "segment"].map(panel.truth.detailing_effect).mean())


def true_gain(panel: Panel, allocation: resource_optimizer.Allocation) -> float:
    """New starts a month that a split of touches adds under the true response curves."""
    hcps = panel.per_hcp()["segment"].value_counts()
    return sum(
        hcps[name]
        * float(
            panel.truth.response(name, allocation.proposed[name]) - panel.truth.response(name, allocation.present[name])
        )
        for name in SEGMENTS
    )


@pytest.mark.parametrize("brand", BRANDS)
class TestCausalImpact:
    def test_the_interval_covers_the_true_effect_as_often_as_it_says(self, brand: str):
        impacts = [(causal_impact.estimate(panel), true_effect(panel)) for panel in panels(brand)]
        assert sum(impact.low <= effect <= impact.high for impact, effect in impacts) >= 17

    def test_the_estimate_is_unbiased_where_a_plain_comparison_is_not(self, brand: str):
        errors, plain = [], []
        for panel in panels(brand):
            starts, detailed = panel.matrix("new_starts"), panel.per_hcp()["detailed"].to_numpy()
            after = starts[:, panel.truth.launch_month :].mean(axis=1)
            errors.append(causal_impact.estimate(panel).effect - true_effect(panel))
            plain.append(after[detailed].mean() - after[~detailed].mean() - true_effect(panel))
        assert abs(np.mean(errors)) < 0.06
        assert np.mean(plain) > 0.3

    def test_confidence_is_a_share_and_higher_for_larger_effects(self, brand: str):
        impacts = sorted((causal_impact.estimate(panel) for panel in panels(brand)), key=lambda impact: impact.effect)
        sound = [impact.confidence for impact in impacts if all(impact.refutations.values())]
        assert all(0 <= confidence <= 1 for confidence in sound)
        assert sound[0] < sound[-1]

    def test_a_sound_panel_survives_nearly_all_refutations(self, brand: str):
        survived = [causal_impact.estimate(panel).refutations.values() for panel in panels(brand)]
        assert np.mean([list(values) for values in survived]) > 0.9


def test_a_trend_before_the_launch_refutes_parallel_trends():
    panel = simulate(TRUTHS["Kisqali"], seed=3)
    panel.frame["new_starts"] += 0.4 * panel.frame["month"] * panel.frame["detailed"]
    impact = causal_impact.estimate(panel)
    assert not impact.refutations["parallel_trends"]
    assert impact.confidence < 0.7


@pytest.mark.parametrize("brand", BRANDS)
class TestGapAnalyzer:
    def test_every_segments_gap_is_found_within_its_interval(self, brand: str):
        covered = [
            gap.low <= panel.truth.gap[name] <= gap.high
            for panel in panels(brand)
            for name, gap in gap_analyzer.measure(panel).by_segment.items()
        ]
        assert len(covered) == 80
        assert np.mean(covered) > 0.85

    def test_the_widest_gap_is_the_true_one(self, brand: str):
        widest = max(SEGMENTS, key=lambda name: TRUTHS[brand].gap[name])
        assert {gap_analyzer.measure(panel).widest for panel in panels(brand)} == {widest}

    def test_the_score_is_the_gap_of_all_potential(self, brand: str):
        panel = load(brand)
        hcps = panel.per_hcp()
        unmet = hcps["potential"] * hcps["segment"].map(panel.truth.gap)
        true_score = unmet.sum() / hcps["potential"].sum()
        assert gap_analyzer.measure(panel).score == pytest.approx(true_score, abs=0.02)


@pytest.mark.parametrize("brand", BRANDS)
class TestHeterogeneousOptimizer:
    def test_segment_effects_are_recovered_on_average(self, brand: str):
        targetings = [heterogeneous_optimizer.target(panel) for panel in panels(brand)]
        for name in SEGMENTS:
            mean = np.mean([targeting.by_segment[name] for targeting in targetings])
            assert mean == pytest.approx(TRUTHS[brand].detailing_effect[name], abs=0.15)

    def test_the_best_segment_is_mostly_the_true_one(self, brand: str):
        effects = TRUTHS[brand].detailing_effect
        best = max(SEGMENTS, key=lambda name: effects[name])
        found = [heterogeneous_optimizer.target(panel).best for panel in panels(brand)]
        assert found.count(best) >= 16

    def test_held_out_uplift_is_real_and_no_larger_than_the_truth_allows(self, brand: str):
        """The third that gains most is the best segment whole and a third of the second best."""
        effects = sorted(TRUTHS[brand].detailing_effect.values(), reverse=True)
        ceiling = (3 * effects[0] + effects[1]) / 4 - np.mean(effects)
        uplifts = [heterogeneous_optimizer.target(panel).uplift for panel in panels(brand)]
        assert 0.5 * ceiling < np.mean(uplifts) < ceiling + 0.1


def test_held_out_uplift_is_nothing_where_effects_do_not_differ():
    truth = TRUTHS["Kisqali"]
    same = dict.fromkeys(SEGMENTS, 1.0)
    uplifts = [
        heterogeneous_optimizer.target(simulate(replace(truth, detailing_effect=same), seed=seed)).uplift
        for seed in SEEDS
    ]
    assert abs(np.mean(uplifts)) < 0.1


@pytest.mark.parametrize("brand", ["Remibrutinib", "Kisqali"])
def test_drift_is_dated_to_the_month_with_its_size_and_direction(brand: str):
    truth = TRUTHS[brand]
    drifts = [drift_monitor.watch(panel) for panel in panels(brand)]
    assert {drift.month for drift in drifts} == {truth.drift_month}
    assert {drift.direction for drift in drifts} == {int(math.copysign(1, truth.drift_size))}
    assert [drift.magnitude for drift in drifts] == pytest.approx([abs(truth.drift_size)] * 20, abs=0.08)
    assert min(drift.psi for drift in drifts) > 0.25


def test_no_drift_is_reported_where_there_is_none():
    drifts = [drift_monitor.watch(panel) for panel in panels("Fabhalta")]
    assert [drift.month for drift in drifts].count(None) >= 19
    assert max(drift.psi for drift in drifts) < 0.05


@pytest.mark.parametrize("brand", BRANDS)
def test_an_experiment_of_the_designed_size_has_the_promised_power(brand: str):
    """Draws experiments from fresh panels and counts how often a t-test finds the effect designed for."""
    design = experiment_designer.design(load(brand), 6)
    big = simulate(TRUTHS[brand], seed=99, hcps=4000)
    starts = big.matrix("new_starts")[~big.per_hcp()["detailed"].to_numpy()]
    change = starts[:, -6:].mean(axis=1) - starts[:, -12:-6].mean(axis=1)
    rng, found = np.random.default_rng(0), 0
    for _ in range(400):
        arms = rng.choice(change, (2, design.hcps_per_arm))
        found += stats.ttest_ind(arms[0] + design.effect, arms[1]).pvalue < 0.05
    assert found / 400 == pytest.approx(design.power, abs=0.1)


def test_longer_experiments_need_fewer_hcps():
    sizes = [experiment_designer.design(load("Kisqali"), months).hcps_per_arm for months in (3, 6, 9)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("brand", BRANDS)
def test_the_health_score_is_near_that_of_the_noise_free_panel(brand: str):
    for panel in panels(brand):
        true_score = health_score.score_of(panel, panel.matrix("expected")).score
        assert health_score.assess(panel).score == pytest.approx(true_score, abs=3)


def test_a_wider_gap_and_a_falling_market_lower_the_health_score():
    truth = TRUTHS["Fabhalta"]
    wider = replace(truth, gap={name: min(gap + 0.15, 0.9) for name, gap in truth.gap.items()})
    falling = replace(truth, trend=-0.05)
    score = health_score.assess(simulate(truth)).score
    assert health_score.assess(simulate(wider)).score < score
    assert health_score.assess(simulate(falling)).score < score


@pytest.mark.parametrize("brand", BRANDS)
def test_forecasts_hold_the_true_means_and_intervals_cover_as_they_say(brand: str):
    held, coverage = [], []
    for panel in panels(brand):
        forecast, truth, hcps = prediction_synthesizer.forecast(panel), panel.truth, panel.per_hcp()
        realised = hcps["potential"] * (1 - hcps["segment"].map(truth.gap))
        realised += hcps["segment"].map(truth.detailing_effect) * hcps["detailed"]
        coming = np.arange(panel.months, panel.months + 3, dtype=float)
        expected = realised.sum() + panel.hcps * truth.market(coming)
        held += list((forecast.low <= expected) & (expected <= forecast.high))
        coverage.append(forecast.coverage)
    assert np.mean(held) > 0.8
    assert np.mean(coverage) == pytest.approx(prediction_synthesizer.LEVEL, abs=0.08)


@pytest.mark.parametrize("brand", ["Remibrutinib", "Kisqali"])
class TestResourceOptimizer:
    def test_the_proposed_split_is_better_under_the_true_curves(self, brand: str):
        for panel in panels(brand):
            allocation = resource_optimizer.allocate(panel)
            assert allocation.worthwhile
            assert true_gain(panel, allocation) > 50

    def test_the_interval_covers_the_true_gain_as_often_as_it_says(self, brand: str):
        allocations = [(panel, resource_optimizer.allocate(panel)) for panel in panels(brand)]
        covered = [plan.low <= true_gain(panel, plan) <= plan.high for panel, plan in allocations]
        assert np.mean(covered) >= 0.8

    def test_it_gets_nearly_all_that_the_best_split_could(self, brand: str):
        panel = load(brand)
        best = max(true_gain(panel, split) for split in _splits(panel))
        assert true_gain(panel, resource_optimizer.allocate(panel)) > 0.93 * best

    def test_the_total_stays_the_same(self, brand: str):
        panel = load(brand)
        allocation, hcps = resource_optimizer.allocate(panel), panel.per_hcp()["segment"].value_counts()
        present = sum(hcps[name] * allocation.present[name] for name in SEGMENTS)
        proposed = sum(hcps[name] * allocation.proposed[name] for name in SEGMENTS)
        assert proposed == pytest.approx(present, rel=0.002)


def test_nothing_is_proposed_where_the_present_split_is_the_best():
    assert not any(resource_optimizer.allocate(panel).worthwhile for panel in panels("Fabhalta"))


@pytest.mark.parametrize("brand", BRANDS)
def test_the_change_since_the_launch_is_decomposed_into_market_and_detailing(brand: str):
    errors = []
    for panel in panels(brand):
        parts = explainer.decompose(panel)
        true_detailing = true_effect(panel) * panel.per_hcp()["detailed"].mean()
        assert parts.total == pytest.approx(parts.market + parts.detailing)
        errors.append(parts.detailing - true_detailing)
    assert abs(np.mean(errors)) < 0.04


@pytest.mark.parametrize("brand", BRANDS)
def test_overconfidence_is_measured_and_corrected(brand: str):
    calibrations = [feedback_learner.learn(panel) for panel in panels(brand)]
    slopes = [calibration.slope for calibration in calibrations]
    assert np.mean(slopes) == pytest.approx(TRUTHS[brand].calibration_slope, abs=0.1)
    gains = [each.brier_stated - each.brier_calibrated for each in calibrations]
    overconfident = TRUTHS[brand].calibration_slope < 1
    assert np.mean(gains) > 0 if overconfident else abs(np.mean(gains)) < 0.002


def test_a_stated_confidence_is_worth_less_to_an_overconfident_brand():
    assert feedback_learner.learn(load("Remibrutinib")).apply(0.95) < 0.92


def _splits(panel: Panel) -> list[resource_optimizer.Allocation]:
    """Up to five hundred random splits of the present total, within the optimizer's bounds."""
    rng, base = np.random.default_rng(0), resource_optimizer.allocate(panel)
    present = np.array([base.present[name] for name in SEGMENTS])
    shares = rng.dirichlet(np.ones(4), 20_000) * present.sum()
    allowed = shares[((shares >= present / 3) & (shares <= present * 2.5)).all(axis=1)][:500]
    return [replace(base, proposed=dict(zip(SEGMENTS, row.tolist(), strict=True))) for row in allowed]
