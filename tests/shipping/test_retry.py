"""The answer table."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlens.errors import DeliveryError, Forbidden, Rejected, TooLarge, Unavailable
from tierlens.shipping.retry import Action, Attempt, decide, next_delay

MANY = Attempt(spans=40, traces=4)
ONE_TRACE = Attempt(spans=10, traces=1)
ONE = Attempt(spans=1)


@pytest.mark.parametrize(
    ("error", "attempt", "action"),
    [
        (Unavailable("503", 503), MANY, Action.RETRY),
        (Unavailable("503", 503), Attempt(spans=40, traces=4, tries=1_000), Action.RETRY),
        (Unavailable("500", 500), Attempt(40, 4, tries=3, others_pass=True), Action.HALVE),
        (Unavailable("500", 500), Attempt(10, 1, tries=3, others_pass=True), Action.SET_ASIDE),
        (Unavailable("500", 500), Attempt(40, 4, tries=2, others_pass=True), Action.RETRY),
        (Forbidden("401", 401), ONE, Action.PAUSE),
        (TooLarge("413", 413), MANY, Action.HALVE),
        (TooLarge("413", 413), ONE_TRACE, Action.HALVE),
        (TooLarge("413", 413), ONE, Action.TRUNCATE),
        (TooLarge("413", 413), Attempt(spans=1, truncated=True), Action.SET_ASIDE),
        (Rejected("400", 400), MANY, Action.HALVE),
        (Rejected("400", 400), Attempt(spans=1, finishes=1), Action.DETACH),
        (Rejected("400", 400), ONE, Action.SET_ASIDE),
        (Rejected("400", 400), Attempt(spans=0, finishes=1), Action.SET_ASIDE),
    ],
    ids=lambda value: getattr(value, "name", None) or str(value),
)
def test_each_answer_has_its_consequence(error: DeliveryError, attempt: Attempt, action: Action) -> None:
    assert decide(error, attempt) is action


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_pauses_grow_to_eight_seconds_and_no_further(failures: int, seed: int) -> None:
    delay = next_delay(failures, random.Random(seed))

    longest = min(5.0, 0.25 * 2 ** min(failures - 1, 20))
    assert longest / 2 <= delay <= longest


@given(wish=st.floats(0.25, 3_000), seed=st.integers())
def test_the_servers_own_wish_is_kept_to_a_fifth(wish: float, seed: int) -> None:
    assert wish <= next_delay(3, random.Random(seed), wish) <= wish * 1.2


@given(wish=st.floats(-3_000, 0.249), seed=st.integers())
def test_a_wish_for_no_pause_is_none(wish: float, seed: int) -> None:
    assert next_delay(3, random.Random(seed), wish) == next_delay(3, random.Random(seed))


def test_an_absurd_wish_is_not_kept() -> None:
    assert next_delay(1, random.Random(1), 1e9) <= 3600 * 1.2
