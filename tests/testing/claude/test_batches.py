"""Message batches through Anthropic's own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from tests.testing.claude.conftest import HELLO, MODEL, Clock, client_of
from tierlens.testing import ClaudeEndpoint

GOOD: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": HELLO}
BAD: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": []}


@pytest.fixture
def slow(clock: Clock) -> Iterator[ClaudeEndpoint]:
    """Batches take a minute."""
    with ClaudeEndpoint(clock=clock, batch_s=60) as started:
        yield started


def requests(*params: dict[str, Any]) -> list[Any]:
    return [{"custom_id": f"r{at}", "params": one} for at, one in enumerate(params)]


def test_a_batch_is_worked_off_and_billed(endpoint: ClaudeEndpoint, client: anthropic.Anthropic) -> None:
    created = client.messages.batches.create(requests=requests(GOOD, BAD, GOOD))
    assert (created.processing_status, created.request_counts.processing, created.results_url) == (
        "in_progress",
        3,
        None,
    )
    ended = client.messages.batches.retrieve(created.id)
    assert ended.processing_status == "ended"
    assert (ended.request_counts.succeeded, ended.request_counts.errored) == (2, 1)
    results = {line.custom_id: line.result for line in client.messages.batches.results(created.id)}
    assert [results[name].type for name in ("r0", "r1", "r2")] == ["succeeded", "errored", "succeeded"]
    first, second = results["r0"], results["r1"]
    assert first.type == "succeeded"
    assert second.type == "errored"
    assert first.message.usage.service_tier == "batch"
    assert second.error.error.type == "invalid_request_error"
    totals = endpoint.ledger()["totals"]
    assert (totals["calls"], totals["refused"]) == (2, 1)
    assert totals["output_tokens"] == 2 * first.message.usage.output_tokens


def test_a_batch_takes_its_time(slow: ClaudeEndpoint, clock: Clock) -> None:
    batches = client_of(slow).messages.batches
    created = batches.create(requests=requests(GOOD))
    clock.advance(59)
    assert batches.retrieve(created.id).processing_status == "in_progress"
    with pytest.raises(anthropic.AnthropicError, match="in_progress"):
        batches.results(created.id)
    assert raw(slow, "GET", f"{created.id}/results").status_code == 404
    assert slow.ledger()["totals"]["calls"] == 0
    clock.advance(1)
    assert batches.retrieve(created.id).processing_status == "ended"


def test_a_cancelled_batch_is_cancelling_and_then_over(slow: ClaudeEndpoint) -> None:
    batches = client_of(slow).messages.batches
    created = batches.create(requests=requests(GOOD, GOOD))
    assert batches.cancel(created.id).processing_status == "canceling"
    ended = batches.retrieve(created.id)
    assert (ended.processing_status, ended.request_counts.canceled) == ("ended", 2)
    assert {line.result.type for line in batches.results(created.id)} == {"canceled"}
    with pytest.raises(anthropic.BadRequestError, match="already ended"):
        batches.cancel(created.id)


def test_a_batch_that_is_not_done_in_a_day_expires(clock: Clock) -> None:
    with ClaudeEndpoint(clock=clock, batch_s=100_000) as endpoint:
        batches = client_of(endpoint).messages.batches
        created = batches.create(requests=requests(GOOD))
        clock.advance(24 * 3600)
        assert batches.retrieve(created.id).request_counts.expired == 1


def test_batches_are_listed_newest_first_and_deleted_when_over(client: anthropic.Anthropic) -> None:
    batches = client.messages.batches
    made = [batches.create(requests=requests(GOOD)).id for _ in range(3)]
    assert [batch.id for batch in batches.list(limit=2)] == made[::-1]
    assert batches.delete(made[0]).id == made[0]
    with pytest.raises(anthropic.NotFoundError):
        batches.retrieve(made[0])


def test_a_batch_at_work_cannot_be_deleted(slow: ClaudeEndpoint) -> None:
    batches = client_of(slow).messages.batches
    with pytest.raises(anthropic.BadRequestError, match="still processing"):
        batches.delete(batches.create(requests=requests(GOOD)).id)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"requests": []},
        {"requests": [{"params": GOOD}]},
        {"requests": [{"custom_id": "a"}]},
        {"requests": [{"custom_id": "a", "params": GOOD}] * 2},
    ],
)
def test_wrong_batches_are_refused(endpoint: ClaudeEndpoint, body: Any) -> None:
    assert raw(endpoint, "POST", "", json=body).status_code == 400


async def test_the_async_client_gets_the_same(endpoint: ClaudeEndpoint) -> None:
    async with anthropic.AsyncAnthropic(base_url=endpoint.base_url, api_key="offline") as opened:
        created = await opened.messages.batches.create(requests=requests(GOOD))
        results = [line async for line in await opened.messages.batches.results(created.id)]
    assert [line.result.type for line in results] == ["succeeded"]


def raw(endpoint: ClaudeEndpoint, method: str, path: str, **arguments: Any) -> httpx.Response:
    headers = {"x-api-key": "offline", "anthropic-version": "2023-06-01"}
    url = f"{endpoint.base_url}/v1/messages/batches/{path}"
    return httpx.request(method, url, headers=headers, **arguments)
