"""What ``tierlens doctor`` finds of metrics, where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

import httpx

from tierlens.cli.finding import Finding
from tierlens.errors import ServerNotStarted, SettingsError
from tierlens.local.ports import is_free
from tierlens.settings import Settings
from tierlens.sinks.encoding import CONTENT_TYPE
from tierlens.sinks.otlp import parse_headers

_EXPORTERS: Final = ("prometheus_client", "opentelemetry.exporter.otlp.proto.http.metric_exporter")
_OURS: Final = "tierlens_spans_pending"
_TIMEOUT: Final = 5.0


def metrics_findings(loaded: Settings) -> Iterator[Finding]:
    """Whether what is asked for can be had."""
    if loaded.metrics_port is None and not loaded.metrics_endpoint:
        return
    if missing := [module for module in _EXPORTERS if not _there(module)]:
        yield Finding("metrics", "warn", f"{missing[0]} is not installed", "pip install 'tierlens[metrics]'")
        return
    if loaded.metrics_port is not None:
        yield _port(loaded.metrics_host, loaded.metrics_port)
    if loaded.metrics_endpoint:
        headers = loaded.metrics_headers or loaded.otlp_headers
        yield _receiver(loaded.metrics_endpoint, headers.get_secret_value() if headers is not None else "")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _port(host: str, port: int) -> Finding:
    try:
        if is_free(host, port):
            return Finding("metrics", "ok", f"{host}:{port} is free for whoever delivers")
    except ServerNotStarted as error:
        return Finding("metrics", "fail", str(error), "set TIERLENS_METRICS_HOST to one that is")
    try:
        offered = _OURS in httpx.get(f"http://{host}:{port}/metrics", timeout=_TIMEOUT, trust_env=False).text
    except (httpx.HTTPError, httpx.InvalidURL):
        offered = False
    if offered:
        return Finding("metrics", "ok", f"offered on http://{host}:{port}/metrics")
    return Finding("metrics", "warn", f"{host}:{port} cannot be listened on", "set TIERLENS_METRICS_PORT to a free one")


def _receiver(endpoint: str, headers: str) -> Finding:
    mend = "start it, or unset OTEL_EXPORTER_OTLP_METRICS_ENDPOINT; it must speak OTLP over HTTP"
    try:
        # A request without any metrics is a request.
        answer = httpx.post(endpoint, content=b"", headers={**CONTENT_TYPE, **parse_headers(headers)}, timeout=_TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL, SettingsError) as error:
        return Finding("metrics", "warn", f"{endpoint}: {error}", mend)
    found = f"{endpoint} answers {answer.status_code}"
    return Finding("metrics", "ok", found) if answer.is_success else Finding("metrics", "warn", found, mend)
