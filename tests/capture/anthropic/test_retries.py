"""The client's own retries: one span for the call, and one below it for each try that was followed by another."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.capture.anthropic.conftest import REQUEST, billed, counted
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.spans import Span
from tierlens.testing import ClaudeEndpoint

NAME = "anthropic.messages"


def tries(capture: Capture) -> list[Span]:
    return [span for span in capture.journal.spans.values() if span.name.startswith("try ")]


def numbers(span: Span) -> tuple[Any, Any]:
    return span.attributes.get(keys.ATTEMPT), span.attributes.get(keys.MAX_ATTEMPTS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_each_try_is_told_with_its_number_and_refusal(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint, stream: bool
) -> None:
    endpoint.fail_next(529, retry_after_s=0)
    endpoint.fail_next(429, retry_after_s=0)
    answer: Any = wrapped.with_options(max_retries=3).messages.create(**REQUEST, stream=stream)
    assert not stream or list(answer)
    call = capture.journal.named(NAME)
    assert call.status == "OK"
    assert numbers(call) == (3, 4)
    first, second = tries(capture)
    assert (numbers(first), numbers(second)) == ((1, 4), (2, 4))
    assert first.parent_id == second.parent_id == call.span_id
    assert first.attributes[keys.OUTCOME] == second.attributes[keys.OUTCOME] == "retried"
    assert str(first.attributes[keys.OUTCOME_DETAIL]).startswith("529")
    assert call.start_ns <= first.start_ns < first.end_ns <= second.start_ns < second.end_ns <= call.end_ns
    assert counted(call) == billed(endpoint)


def test_when_all_tries_fail_the_call_is_the_last_one(
    capture: Capture, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    endpoint.fail_next(529, times=2, retry_after_s=0)
    with pytest.raises(anthropic.APIStatusError):
        wrapped.with_options(max_retries=1).messages.create(**REQUEST)
    call = capture.journal.named(NAME)
    assert (call.status, numbers(call)) == ("ERROR", (2, 2))
    assert [numbers(one) for one in tries(capture)] == [(1, 2)]


async def test_a_broken_connection_is_tried_again_by_asynchronous_clients_too(
    capture: Capture, async_wrapped: anthropic.AsyncAnthropic, endpoint: ClaudeEndpoint
) -> None:
    endpoint.fail_next(0)
    await async_wrapped.with_options(max_retries=1).messages.create(**REQUEST)
    (missed,) = tries(capture)
    assert "APIConnectionError" in str(missed.attributes[keys.OUTCOME_DETAIL])
    assert numbers(capture.journal.named(NAME)) == (2, 2)


def test_a_call_that_succeeds_at_once_has_no_number(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    wrapped.with_options(max_retries=3).messages.create(**REQUEST)
    assert numbers(capture.journal.named(NAME)) == (None, None)
    assert tries(capture) == []


def test_the_client_still_tries_as_often_as_it_was_told(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, endpoint: ClaudeEndpoint
) -> None:
    def refused(client: anthropic.Anthropic) -> int:
        before = endpoint.ledger()["totals"]["refused"]
        endpoint.fail_next(500, times=3, retry_after_s=0)
        with pytest.raises(anthropic.InternalServerError):
            client.with_options(max_retries=2).messages.create(**REQUEST)
        return endpoint.ledger()["totals"]["refused"] - before

    assert refused(wrapped) == refused(plain) == 3
