"""Tokens in one shape, and what they cost."""

from __future__ import annotations

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlens.capture import prices
from tierlens.capture.usage import Usage, from_anthropic, from_langchain, from_llm_output

counts = st.integers(0, 300_000)
MODELS = [
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-4-5"), ("anthropic", "claude-opus-4-1"),
    ("openai", "gpt-4o"), ("google_genai", "gemini-2.5-pro"),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), counts, counts, counts, counts, counts)
def test_a_cost_is_what_genai_prices_says(
    model: tuple[str, str], plain: int, output: int, read: int, five: int, hour: int
) -> None:
    provider, name = model
    if provider != "anthropic":
        five = hour = 0
    ours = prices.cost(provider, name, Usage(plain + read + five + hour, output, read, five, hour))
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=plain + read + five + hour,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=five + hour,
            cache_write_1h_tokens=hour,
        ),
        model_ref=name,
        provider_id=provider.removesuffix("_genai"),
    )
    assert ours is not None
    assert ours["total_cost"] == pytest.approx(float(theirs.total_price), rel=1e-9, abs=1e-12)
    assert ours["input_cost"] + ours["output_cost"] == pytest.approx(ours["total_cost"])


def test_what_has_no_price_or_no_count_has_no_cost() -> None:
    assert prices.cost("nobody", "no-such-model", Usage(1, 1)) is None
    assert prices.cost("anthropic", "", Usage(1, 1)) is None
    assert prices.cost("anthropic", "claude-sonnet-4-5", Usage()) is None


def test_langchains_counts_of_both_cache_lifetimes_are_read() -> None:
    details = {"cache_read": 5, "cache_creation": 0, "ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 11}
    usage = from_langchain({"input_tokens": 30, "output_tokens": 4, "total_tokens": 34, "input_token_details": details})
    assert usage == Usage(30, 4, 5, 7, 11)
    assert usage.as_mlflow() == {
        "input_tokens": 30, "output_tokens": 4, "total_tokens": 34, "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 18, "cache_creation_input_tokens_above_1hr": 11,
    }  # fmt: skip


def test_an_unsplit_count_of_cache_writes_is_for_five_minutes() -> None:
    assert from_langchain(
        {"input_tokens": 9, "output_tokens": 1, "input_token_details": {"cache_creation": 8}}
    ) == Usage(9, 1, None, 8, None)


def test_anthropics_input_leaves_the_cache_out_and_ours_does_not() -> None:
    raw = {
        "input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 9,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
    }  # fmt: skip
    assert from_anthropic(raw) == Usage(22, 2, 10, 4, 5)


def test_openais_older_place_is_read_too() -> None:
    output = {
        "token_usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    }
    assert from_llm_output(output) == Usage(3, 2, 1)
    assert from_llm_output({}) is None
    assert from_llm_output({"token_usage": {}}) is None


def test_what_was_not_counted_is_left_out_not_zero() -> None:
    assert Usage(3, 2).as_mlflow() == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
