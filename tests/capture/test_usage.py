"""Tokens in one shape."""

from __future__ import annotations

from tierlens.capture.usage import Usage, from_anthropic, from_langchain, from_llm_output


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
