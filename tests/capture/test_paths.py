"""Dotted paths into whatever nodes put out."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from typing import Any

import numpy as np
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


def test_a_value_that_raises_when_asked_leads_nowhere() -> None:
    assert lookup({"outputs": Hostile()}, "outputs.score") is None


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        (1, 1.0), (0.5, 0.5), (True, True), ("high", "high"), (np.float32(0.5), 0.5), (np.bool_(False), False),
        (math.nan, None), (-math.inf, None), (None, None), ([1], None), (1j, None), (Decimal("0.5"), 0.5),
        (Decimal("sNaN"), None), (10**400, None),
    ],
)  # fmt: skip
def test_a_metric_is_a_finite_number_a_truth_or_a_label(value: Any, metric: Any) -> None:
    assert as_metric(value) == metric
    assert type(as_metric(value)) is type(metric)
