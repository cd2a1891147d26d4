"""Failures by script, and what Anthropic's own client makes of them."""

from __future__ import annotations

import time
from typing import Any

import anthropic
import httpx
import pytest
from langchain_anthropic import ChatAnthropic

from tests.testing.claude.conftest import HELLO, MODEL, client_of
from tests.testing.claude.test_messages import create
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import Fault

REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": HELLO}


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_each_status_is_the_error_the_client_knows(
    endpoint: ClaudeEndpoint, client: anthropic.Anthropic, status: int, error: Any, name: str
) -> None:
    endpoint.fail_next(status)
    with pytest.raises(error) as caught:
        create(client)
    body = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == name
    assert body["request_id"] == caught.value.response.headers["request-id"] == caught.value.request_id


@pytest.mark.parametrize("status", [0, 429, 500, 529])
def test_the_client_retries_as_often_as_it_was_told_and_succeeds(endpoint: ClaudeEndpoint, status: int) -> None:
    endpoint.fail_next(status, times=2, retry_after_s=0)
    assert create(client_of(endpoint, max_retries=2)).stop_reason == "end_turn"
    totals = endpoint.ledger()["totals"]
    assert (totals["calls"], totals["refused"]) == (1, 2)


def test_the_client_gives_up_when_its_retries_are_used_up(endpoint: ClaudeEndpoint) -> None:
    endpoint.fail_next(529, times=3, retry_after_s=0)
    with pytest.raises(anthropic.OverloadedError):
        create(client_of(endpoint, max_retries=2))
    assert [call["status"] for call in endpoint.ledger()["calls"]] == [529, 529, 529]


def test_the_wait_asked_for_is_honoured(endpoint: ClaudeEndpoint) -> None:
    longer_than_the_clients_own_wait_s = 0.6
    endpoint.fail_next(429, retry_after_s=longer_than_the_clients_own_wait_s)
    begun = time.monotonic()
    create(client_of(endpoint, max_retries=1))
    assert time.monotonic() - begun >= longer_than_the_clients_own_wait_s


def test_langchain_retries_too(endpoint: ClaudeEndpoint) -> None:
    endpoint.fail_next(529, times=2, retry_after_s=0)
    model = ChatAnthropic(model=MODEL, base_url=endpoint.base_url, api_key="offline", max_retries=2)
    assert model.invoke("Hello.").text


def test_headers_say_how_long_to_wait_and_what_remains(endpoint: ClaudeEndpoint) -> None:
    endpoint.fail_next(429, retry_after_s=1.5)
    refused, answered = (post(endpoint) for _ in range(2))
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["retry-after-ms"] == "1500"
    assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert refused.headers["anthropic-ratelimit-requests-reset"] == "2027-01-15T08:00:01Z"
    assert answered.headers["anthropic-ratelimit-tokens-remaining"] != "0"
    assert "retry-after" not in answered.headers


def test_a_schedule_names_requests_by_their_number() -> None:
    schedule = {2: Fault(500, message="second"), 3: Fault(429)}
    with ClaudeEndpoint(schedule=schedule) as endpoint:
        assert [post(endpoint).status_code for _ in range(4)] == [200, 500, 429, 200]
        assert endpoint.ledger()["calls"][1]["error"] == "second"


def test_a_stream_can_fail_in_the_middle(endpoint: ClaudeEndpoint, client: anthropic.Anthropic) -> None:
    endpoint.fail_next(529, after_events=5)
    seen: list[str] = []
    stream = client.messages.create(**REQUEST, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        seen.extend(event.type for event in stream)
    assert seen == ["message_start", "content_block_start", "content_block_delta", "content_block_delta"]


def test_what_a_broken_stream_had_sent_is_billed(endpoint: ClaudeEndpoint, client: anthropic.Anthropic) -> None:
    endpoint.fail_next(0, after_events=5)
    with pytest.raises(Exception, match="peer closed connection"):
        list(client.messages.create(**REQUEST, stream=True))
    (call,) = endpoint.ledger()["calls"]
    assert (call["complete"], call["stop_reason"], call["output_tokens"]) == (False, None, 8)
    assert endpoint.ledger()["totals"]["output_tokens"] == 8


def test_a_plain_answer_does_not_wait_for_events(endpoint: ClaudeEndpoint) -> None:
    endpoint.fail_next(529, after_events=5)
    assert post(endpoint).status_code == 529


@pytest.mark.parametrize("status", [1, 200, 399, 600])
def test_a_fault_is_a_failure(endpoint: ClaudeEndpoint, status: int) -> None:
    with pytest.raises(ValueError, match=f"status: {status}"):
        endpoint.fail_next(status)


def post(endpoint: ClaudeEndpoint) -> httpx.Response:
    headers = {"x-api-key": "offline", "anthropic-version": "2023-06-01"}
    return httpx.post(f"{endpoint.base_url}/v1/messages", headers=headers, json=REQUEST)
