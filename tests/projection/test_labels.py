from __future__ import annotations

import pytest

from tierlens.projection.labels import COMBINATION, COMBINATIONS, OTHER, Labels, presentable


def test_the_values_that_come_first_stay_and_the_rest_are_one():
    labels = Labels(values=2)

    kept = [labels.fold("calls", {"brand": brand})["brand"] for brand in ("a", "b", "c", "a", "d")]

    assert kept == ["a", "b", OTHER, "a", OTHER]
    assert labels.take_folded() == {"brand": 2}
    assert labels.take_folded() == {}


def test_a_label_too_many_leaves_the_others_as_they_are():
    labels = Labels(values=1)
    labels.fold("calls", {"brand": "a", "agent": "explainer"})

    assert labels.fold("calls", {"brand": "b", "agent": "explainer"}) == {"brand": OTHER, "agent": "explainer"}


def test_few_values_may_still_have_too_many_combinations():
    labels, size = Labels(values=50), 50
    kept = [labels.fold("calls", {"x": f"{x}", "y": f"{y}"}) for x in range(size) for y in range(size)]

    assert len({tuple(one.items()) for one in kept}) == size * COMBINATIONS + 1
    assert kept[-1] == {"x": OTHER, "y": OTHER}
    assert labels.take_folded() == {COMBINATION: size * size - size * COMBINATIONS}


def test_the_programs_own_values_are_never_folded():
    labels = Labels(values=1, free=["type"])

    kept = [labels.fold("tokens", {"type": kind, "brand": kind}) for kind in ("input", "output", "other kind")]

    assert [one["type"] for one in kept] == ["input", "output", "other kind"]


def test_each_metric_has_combinations_of_its_own():
    labels = Labels(values=1)
    for number in range(100):
        labels.fold(f"metric {number}", {"brand": "a"})

    assert labels.take_folded() == {}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Kisqali", "Kisqali"),
        ('a"b\\c', 'a"b\\c'),
        ("two\nlines\r\t\x00", "two�lines���"),
        ("‮desrever", "�desrever"),
        ("x" * 5_000, "x" * 119 + "…"),
        ("日本 ü", "日本 ü"),
    ],
)
def test_values_are_short_and_can_be_shown(value: str, shown: str):
    assert presentable(value) == shown
