"""Dotted paths into whatever nodes put out."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.capture.test_decorators import Hostile
from tierlens.capture.paths import as_metric, lookup


@dataclasses.dataclass
class Report:
    score: float


ROOT: dict[str, Any] = {"outputs": {"score": 0.5, "rows": [{"a": 1}, {"a": 2}], "report": Report(0.7), "none": None}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("outputs.score", 0.5), ("outputs.rows.0.a", 1), ("outputs.rows.-1.a", 2), ("outputs.report.score", 0.7),
        ("outputs.rows.2.a", None), ("outputs.rows.x", None), ("outputs.none.x", None), ("inputs.score", None),
        ("outputs.report.__class__", None), ("", None),
    ],
)  # fmt: skip
def test_a_path_leads_to_its_value_or_to_none(path: str, found: object) -> None:
    assert lookup(ROOT, path) == found


@pytest.mark.parametrize(
    ("path", "metric"),
    [
        ("outputs.effect", 0.25), ("outputs.effects.1", 0.5), ("outputs.effects.-1", 0.75), ("outputs.grid.1.0", 3.0),
        ("outputs.column.1", 0.5), ("outputs.column.south", 0.5), ("outputs.frame.uplift.0", 0.1),
        ("outputs.effects.3", None), ("outputs.effect.0", None), ("outputs.column.2", None), ("outputs.frame.0", None),
        ("outputs.effects", None),
    ],
)  # fmt: skip
def test_a_path_leads_into_arrays_and_columns(path: str, metric: float | None) -> None:
    found = {
        "effect": np.array(0.25),
        "effects": np.array([0.25, 0.5, 0.75]),
        "grid": np.arange(6).reshape(2, 3),
        "column": pd.Series({"north": 0.25, "south": 0.5}),
        "frame": pd.DataFrame({"uplift": [0.1, 0.2]}),
    }
    assert as_metric(lookup({"outputs": found}, path)) == metric


def test_a_value_that_raises_when_asked_leads_nowhere() -> None:
    assert lookup({"outputs": Hostile()}, "outputs.score") is None


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        (1, 1.0), (0.5, 0.5), (True, True), ("high", "high"), (np.float32(0.5), 0.5), (np.bool_(False), False),
        (math.nan, None), (-math.inf, None), (None, None), ([1], None), (1j, None), (Decimal("0.5"), 0.5),
        (Decimal("sNaN"), None), (10**400, None), (np.array(0.5), 0.5), (np.array(True), True),
        (np.array("high"), "high"),
        (np.array([0.5]), None), (np.array(math.nan), None), (np.longdouble(0.5), 0.5), (pd.Series([1, 2]).mean(), 1.5),
        (np.datetime64("2026-11-01"), None),
    ],
)  # fmt: skip
def test_a_metric_is_a_finite_number_a_truth_or_a_label(value: Any, metric: Any) -> None:
    assert as_metric(value) == metric
    assert type(as_metric(value)) is type(metric)
