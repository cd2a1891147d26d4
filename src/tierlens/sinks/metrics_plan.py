"""Where metrics go, as the settings have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tierlens.errors import SettingsError
from tierlens.sinks.otlp import parse_headers

LABEL_VALUES: Final = 100

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Which metrics are offered, and where.

    Attributes:
        port: of the Prometheus endpoint on ``host``; None for none.
        endpoint: the OTLP/HTTP metrics endpoint that is pushed to, by its full address; "" for none.
        headers: sent with every push.
        interval_s: seconds between two pushes, and between two tries to open a port that is taken.
        label_values: how many values of a label are told apart.
        quota_bytes: what the journal may take.
    """

    port: int | None = None
    host: str = "127.0.0.1"
    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    interval_s: float = 30.0
    label_values: int = LABEL_VALUES
    quota_bytes: int = 1 << 30


def plan_from(environ: Mapping[str, str]) -> MetricsPlan | None:
    """What the variables, ``Settings.as_environment`` among them, ask for; None where that is nothing.

    Raises:
        SettingsError: the endpoint or its headers cannot be used.
    """
    port, endpoint = environ.get("TIERLENS_METRICS_PORT"), environ.get(_ENDPOINT, "")
    if not port and not endpoint:
        return None
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise SettingsError(
            _ENDPOINT, "", repr(endpoint), "is no address of OTLP over HTTP: http://host:4318/v1/metrics"
        )
    headers = environ.get("OTEL_EXPORTER_OTLP_METRICS_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    return MetricsPlan(
        int(port) if port else None,
        environ.get("TIERLENS_METRICS_HOST", "127.0.0.1"),
        endpoint,
        parse_headers(headers),
        float(environ.get("TIERLENS_METRICS_INTERVAL_S", 30.0)),
        int(environ.get("TIERLENS_METRICS_LABEL_VALUES", LABEL_VALUES)),
        int(environ.get("TIERLENS_JOURNAL_QUOTA_MB", 1024)) << 20,
    )
