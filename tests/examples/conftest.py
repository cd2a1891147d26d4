"""A real ChatAnthropic, talking to the offline Claude endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_anthropic import ChatAnthropic

from examples.brand_analytics.claude import chat
from tierlens.testing import ClaudeEndpoint


@pytest.fixture(scope="session")
def endpoint() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def llm(endpoint: ClaudeEndpoint) -> ChatAnthropic:
    return chat(base_url=endpoint.base_url, api_key="offline")
