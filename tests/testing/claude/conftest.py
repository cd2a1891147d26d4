from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tierlens.testing import ClaudeEndpoint

MODEL = "claude-sonnet-4-6"
HELLO: Any = [{"role": "user", "content": "Hello."}]


class Clock:
    """Seconds since the epoch that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(clock: Clock) -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint(clock=clock) as started:
        yield started


@pytest.fixture
def client(endpoint: ClaudeEndpoint) -> Iterator[anthropic.Anthropic]:
    with client_of(endpoint) as opened:
        yield opened


def client_of(endpoint: ClaudeEndpoint, max_retries: int = 0) -> anthropic.Anthropic:
    """Anthropic's own client; it tries once unless told otherwise."""
    return anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline", max_retries=max_retries)
