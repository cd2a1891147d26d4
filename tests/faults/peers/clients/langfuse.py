"""Langfuse's client, by its context manager."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any, Final

from langfuse import get_client, propagate_attributes

PACKAGES: Final = ("langfuse",)


class Langfuse:
    def __init__(self) -> None:
        self._client = get_client()

    def call(self, name: str, value: Any, session: str | None = None) -> None:
        within = propagate_attributes(session_id=session) if session else nullcontext()
        with within, self._client.start_as_current_observation(name=name, as_type="span", input={"value": value}):
            pass

    def flush(self) -> None:
        self._client.flush()


def open_client(uri: str, experiment: str) -> Langfuse:
    os.environ.update(LANGFUSE_PUBLIC_KEY="pk-lf-1", LANGFUSE_SECRET_KEY="sk-lf-1", LANGFUSE_BASE_URL=uri)
    return Langfuse()
