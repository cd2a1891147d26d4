"""One module a client: ``open_client(uri, experiment)``, set up as its documentation has it, with its defaults."""

from __future__ import annotations

from typing import Any, Protocol


class Client(Protocol):
    """A tracing client under test."""

    def call(self, name: str, value: Any, session: str | None = None) -> None:
        """Start and end one root span with this name and input; returns once the client has taken it."""

    def flush(self) -> None:
        """Whatever the client offers to wait until all it took is sent."""
