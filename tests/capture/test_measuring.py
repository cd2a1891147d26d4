"""Custom metrics under a rule: what it does not allow is refused, and says so where one looks."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

import tierlens
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.policy import AgentPolicy, MetricRule, Policies

SHARE = MetricRule("outputs.share", unit="%", direction="higher", low=0, high=1)


def recorded(capture_with: Any, value: object, rule: MetricRule = SHARE) -> tuple[Any, Any]:
    """What the agent's span says, and what MLflow will be told, of a metric read from an output."""
    capture: Capture = capture_with(Policies(agents={"a": AgentPolicy(agent="a", metrics={"share": rule})}))
    tierlens.agent("a")(lambda: {"share": value})()
    span = capture.journal.named("a")
    return span.attributes, capture.journal.routings[span.span_id].metrics


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_a_value_in_range_stands_with_its_unit_and_direction(capture_with: Any, value: float) -> None:
    said, told = recorded(capture_with, value)

    assert told == {"share": value}
    assert (said[keys.METRIC_UNIT + "share"], said[keys.METRIC_DIRECTION + "share"]) == ("%", "higher")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-0.1, "-0.1 is below 0"),
        (1.7, "1.7 is above 1"),
        (math.nan, "nan is no finite number, bool or text"),
        (math.inf, "inf is no finite number, bool or text"),
        ([1], "a value of type list is no finite number, bool or text"),
        ("high", "a value of type str is no number, and its rule gives a range"),
        (True, "True is no number, and its rule gives a range"),
        ("", "a value of type str is empty"),
        ("h" * 251, "a value of type str has 251 characters, and a label at most 250: give longer text to tag()"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_its_reason(
    capture_with: Any, caplog: pytest.LogCaptureFixture, value: object, why: str
) -> None:
    with caplog.at_level(logging.WARNING):
        said, told = recorded(capture_with, value)

    assert said[keys.METRIC_REFUSED + "share"].startswith(why)
    assert dict(told) == {}
    assert keys.METRIC + "share" not in said
    assert why in caplog.text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "metric '' was not recorded: it has no name"),
        (" ", "metric ' ' was not recorded: it has no name"),
        ("m" * 251, "its name has 251 characters, and MLflow has room for 250"),
        ("sh\nare", "its name has characters that cannot be printed"),
    ],
)
def test_a_name_that_mlflow_would_not_have_is_refused_aloud(
    capture: Capture, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    tierlens.agent("a")(lambda: tierlens.metric(name, 1))()
    assert why in caplog.text
    assert not [key for key in capture.attributes("a") if key.startswith((keys.METRIC, keys.METRIC_REFUSED))]


def test_a_name_and_a_label_may_be_as_long_as_mlflow_has_room(capture: Capture) -> None:
    tierlens.agent("a")(lambda: tierlens.metric("m" * 250, "h" * 250))()
    assert capture.attributes("a")[keys.METRIC + "m" * 250] == "h" * 250


def test_a_refused_value_that_is_mended_later_is_recorded(capture: Capture) -> None:
    @tierlens.agent("a")
    def estimate() -> None:
        tierlens.metric("share", math.nan)
        tierlens.metric("share", 0.5)

    estimate()

    said = capture.attributes("a")
    assert (said[keys.METRIC + "share"], keys.METRIC_REFUSED + "share" in said) == (0.5, False)


def test_a_loop_of_refused_values_is_said_once(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    @tierlens.agent("a")
    def estimate() -> None:
        for _ in range(100):
            tierlens.metric("share", math.nan)

    with caplog.at_level(logging.WARNING):
        estimate()

    assert len(caplog.records) == 1
