"""A web service that records each request: gunicorn tests.faults.workers.web:app, its orders in FAULTS_ORDERS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording

recording = Recording(Orders.from_json(os.environ["FAULTS_ORDERS"]))


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    recording.call(f"request {environ['PATH_INFO']}")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
