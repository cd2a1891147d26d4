"""LangSmith's client, by its context manager."""

from __future__ import annotations

import os
from typing import Any, Final

import langsmith

PACKAGES: Final = ("langsmith",)


class LangSmith:
    def __init__(self, uri: str) -> None:
        self._client = langsmith.Client(api_url=uri, api_key="ls-1")

    def call(self, name: str, value: Any, session: str | None = None) -> None:
        metadata = {"session_id": session} if session else None
        with langsmith.trace(name, inputs={"value": value}, metadata=metadata, client=self._client):
            pass

    def flush(self) -> None:
        self._client.flush()


def open_client(uri: str, experiment: str) -> LangSmith:
    os.environ.update(LANGSMITH_TRACING="true", LANGSMITH_PROJECT="faults")
    return LangSmith(uri)
