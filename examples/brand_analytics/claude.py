"""Claude through ChatAnthropic: the real one with a key, tierlens' offline endpoint without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_anthropic import ChatAnthropic

MODEL = "claude-sonnet-4-6"


@contextmanager
def claude(ledger: Path | None = None) -> Iterator[tuple[ChatAnthropic, str]]:
    """The chat model, and what to tell the user about it.

    Args:
        ledger: where the offline endpoint writes the tokens it has billed.
    """
    model = os.environ.get("ANTHROPIC_MODEL", MODEL)
    if os.environ.get("ANTHROPIC_API_KEY"):
        yield chat(model), f"the real Claude ({model})"
        return
    from tierlens.testing import ClaudeEndpoint  # tierlens is needed only where there is no key

    with ClaudeEndpoint(ledger_path=ledger) as endpoint:
        yield (
            chat(model, base_url=endpoint.base_url, api_key="offline"),
            f"the offline Claude endpoint, answering as {model}; set ANTHROPIC_API_KEY for the real one",
        )


def chat(model: str = MODEL, **client: Any) -> ChatAnthropic:
    """ChatAnthropic as the agents want it: short and repeatable."""
    settings: dict[str, Any] = {"temperature": 0.0, "max_tokens": 400, "max_retries": 4, **client}
    return ChatAnthropic(model_name=model, **settings)
