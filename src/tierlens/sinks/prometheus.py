"""Metrics for Prometheus, over HTTP. The one place that imports prometheus_client.

Names are OpenTelemetry's with underscores for dots, the unit spelled out and ``_total`` after a counter's:
``gen_ai_client_operation_duration_seconds_bucket``, as its specification of compatibility with Prometheus has it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final
from wsgiref.simple_server import WSGIServer

from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, MetricsData, NumberDataPoint, Sum
from opentelemetry.sdk.metrics.export import Metric as OtelMetric
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_UNITS: Final = {"s": "seconds", "By": "bytes"}
_PLAIN: Final = re.compile(r"[^a-zA-Z0-9_]")


class PrometheusEndpoint:
    """Serves metrics on ``http://host:port/metrics``, each time as they are at that moment.

    Args:
        read: gives the metrics; may be called by several threads at once.

    Raises:
        OSError: the port is taken, or the address is not this host's.
    """

    def __init__(self, read: Callable[[], MetricsData | None], host: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(_Families(read))
        self._server: WSGIServer
        self._thread: threading.Thread
        self._server, self._thread = start_http_server(port, host, registry)

    def close(self) -> None:
        """Answer nobody any more, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=1.0)

    def abandon(self) -> None:
        """In a forked child, which has the socket and not the thread: the parent's port must end with the parent."""
        self._server.socket.close()


class _Families(Collector):
    def __init__(self, read: Callable[[], MetricsData | None]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """None ahead of time: to be registered is no reason to be read."""
        return []

    def collect(self) -> Iterator[Metric]:
        data = self._read()
        for one in data.resource_metrics if data is not None else ():
            about = {prometheus_name(name): str(value) for name, value in one.resource.attributes.items()}
            yield InfoMetricFamily("target", "What these metrics are of.", value=about)
            for scope in one.scope_metrics:
                yield from map(_family, scope.metrics)


def _family(metric: OtelMetric) -> Metric:
    points = metric.data.data_points
    names = sorted({name for point in points for name in point.attributes or {}})
    labels = [prometheus_name(name) for name in names]
    name = prometheus_name(metric.name, metric.unit or "")
    about = metric.description or ""
    # A label that a point does not have is the same to Prometheus as one that is empty.
    rows = [([str((point.attributes or {}).get(label, "")) for label in names], point) for point in points]
    if isinstance(metric.data, Histogram):
        histogram = HistogramMetricFamily(name, about, labels=labels)
        for values, point in rows:
            if isinstance(point, HistogramDataPoint):
                histogram.add_metric(values, _buckets(point), point.sum)
        return histogram
    counted = isinstance(metric.data, Sum) and metric.data.is_monotonic
    plain = (
        CounterMetricFamily(name, about, labels=labels) if counted else GaugeMetricFamily(name, about, labels=labels)
    )
    for values, point in rows:
        if isinstance(point, NumberDataPoint):
            plain.add_metric(values, point.value)
    return plain


def _buckets(point: HistogramDataPoint) -> list[tuple[str, int]]:
    bounds = [*map(str, map(float, point.explicit_bounds)), "+Inf"]
    return list(zip(bounds, accumulate(point.bucket_counts), strict=True))


def prometheus_name(name: str, unit: str = "") -> str:
    """A name of OpenTelemetry's as Prometheus has it, without a counter's ending."""
    plain = _PLAIN.sub("_", name)
    suffix = _UNITS.get(unit, "")
    return f"{plain}_{suffix}" if suffix and not plain.endswith(suffix) else plain
