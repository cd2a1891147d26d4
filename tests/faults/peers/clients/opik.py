"""Opik's client, by its context manager; the client that it uses is the process's global one."""

from __future__ import annotations

import os
from typing import Any, Final

import opik

PACKAGES: Final = ("opik",)


class Opik:
    def call(self, name: str, value: Any, session: str | None = None) -> None:
        with opik.start_as_current_trace(name, input={"value": value}, thread_id=session):
            pass

    def flush(self) -> None:
        opik.flush_tracker()


def open_client(uri: str, experiment: str) -> Opik:
    os.environ.update(OPIK_URL_OVERRIDE=f"{uri}/api", OPIK_API_KEY="key", OPIK_WORKSPACE="faults")
    # What it tells its makers of itself, and not of the traces, would otherwise look for the Internet.
    os.environ.update(OPIK_SENTRY_ENABLE="false", OPIK_ANALYTICS_ENABLE="false")
    return Opik()
