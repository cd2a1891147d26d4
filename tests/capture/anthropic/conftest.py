from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import anthropic
import orjson
import pytest

from tierlens.capture.wrapping import wrap
from tierlens.spans import Span
from tierlens.testing import ClaudeEndpoint

MODEL = "claude-sonnet-4-6"
REQUEST: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "Share fell by 4% in June. Why?"}],
}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a place",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


@pytest.fixture
def endpoint() -> Iterator[ClaudeEndpoint]:
    """Gives every message the same id, so that two answers to one request are equal."""
    with ClaudeEndpoint(new_id=lambda prefix: f"{prefix}same") as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_left_half_read() -> Iterator[None]:
    """Older clients keep a stream that nobody reads until it is collected, and the collector waits for ever if the next
    test's client has its connections locked just then."""
    yield
    gc.collect()


@pytest.fixture
def plain(endpoint: ClaudeEndpoint) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline", max_retries=0) as client:
        yield client


@pytest.fixture
def wrapped(plain: anthropic.Anthropic) -> anthropic.Anthropic:
    return wrap(plain)


@pytest.fixture
async def async_plain(endpoint: ClaudeEndpoint) -> Any:
    async with anthropic.AsyncAnthropic(base_url=endpoint.base_url, api_key="offline", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_wrapped(async_plain: anthropic.AsyncAnthropic) -> anthropic.AsyncAnthropic:
    return wrap(async_plain)


def read(span: Span, key: str) -> Any:
    """A JSON attribute."""
    return orjson.loads(str(span.attributes[key]))


def billed(endpoint: ClaudeEndpoint) -> tuple[int, int, int, int]:
    """The endpoint's own (input, output, cache read, cache written) of all calls; input includes the cache."""
    totals = endpoint.ledger()["totals"]
    return (
        totals["all_input_tokens"],
        totals["output_tokens"],
        totals["cache_read_input_tokens"],
        totals["cache_creation_input_tokens"],
    )


def counted(*spans: Span) -> tuple[int, int, int, int]:
    """The same of what was recorded."""
    usages = [read(span, "mlflow.chat.tokenUsage") for span in spans]
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    input_, output, cache_read, written = (sum(usage.get(name, 0) for usage in usages) for name in names)
    return input_, output, cache_read, written
