"""Metrics through OpenTelemetry's SDK: instruments of a provider of our own, never the process's.

No reader of the SDK's own runs: after a fork, one would go on in the child, and push the parent's figures again.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.resources import Resource

from tierlens.projection import instruments, measurements
from tierlens.projection.labels import COMBINATIONS, Labels
from tierlens.projection.measurements import Sample
from tierlens.sinks.metrics_plan import MetricsPlan

if TYPE_CHECKING:
    from tierlens.sinks.prometheus import PrometheusEndpoint

FOLDED_LABEL: Final = "tierlens.label"

_FREE: Final = (measurements.OPERATION, measurements.TOKEN_TYPE, measurements.CACHE, measurements.ESTIMATED)
_MORE: Final = 4
_THREAD: Final = "tierlens-metrics"
_PUSH_S: Final = 10.0
_SERVICE: Final = "service.name"
_UNNAMED: Final = "unknown_service"


class OtelMeter:
    """Records values, and offers them to Prometheus, or pushes them, as the plan has it.

    Args:
        observe: gives the values that are looked at rather than recorded; called whenever somebody reads.
        warn: told of a cause and what to do about it.
    """

    def __init__(
        self, plan: MetricsPlan, observe: Callable[[], Iterable[Sample]], warn: Callable[[str, str], None]
    ) -> None:
        self._plan, self._observe, self._warn = plan, observe, warn
        self._labels, self._lock = Labels(plan.label_values, _FREE), threading.Lock()
        self._scraped, self._pushed = _reader(plan), _reader(plan)
        readers = [self._scraped] * (plan.port is not None) + [self._pushed] * bool(plan.endpoint)
        self._provider = MeterProvider(readers, _resource(), shutdown_on_exit=False)
        self._instruments = self._made()
        self._exporter = _exporter(plan) if plan.endpoint else None
        self._endpoint: PrometheusEndpoint | None = None
        self._open()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._thread.start()

    def record(self, points: Iterable[Sample]) -> None:
        """Take values for the metrics of ``instruments.RECORDED``, the more at a time the cheaper."""
        with self._lock:
            added: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
            for metric, value, labels in points:
                kept = self._labels.fold(metric, labels)
                if isinstance(histogram := self._instruments[metric], Histogram):
                    histogram.record(value, kept)
                else:
                    counted = metric, tuple(kept.items())
                    added[counted] = added.get(counted, 0) + value
            for label, count in self._labels.take_folded().items():
                added[instruments.FOLDED, ((FOLDED_LABEL, label),)] = count
            for (metric, items), value in added.items():
                self._add(metric, value, dict(items))

    def close(self, deadline_s: float = 2.0) -> None:
        """Push what came since the last time, if there is anybody to push to, and free the port."""
        self._stop.set()
        self._thread.join(deadline_s)
        if self._endpoint is not None:
            self._endpoint.close()
        if self._exporter is not None:
            self._exporter.shutdown()
        self._provider.shutdown(1_000)

    def abandon(self) -> None:
        """In a forked child: let go of the port."""
        if self._endpoint is not None:
            self._endpoint.abandon()

    def _made(self) -> dict[str, Histogram | Counter]:
        meter = self._provider.get_meter("tierlens")
        for name, one in instruments.OBSERVED.items():
            create = meter.create_observable_counter if one.kind == "counter" else meter.create_observable_gauge
            create(name, [partial(self._observed, name)], one.unit, one.about)
        made: dict[str, Histogram | Counter] = {}
        for name, one in instruments.RECORDED.items():
            if one.kind == "histogram":
                buckets = list(one.buckets)
                made[name] = meter.create_histogram(
                    name, one.unit, one.about, explicit_bucket_boundaries_advisory=buckets
                )
            else:
                made[name] = meter.create_counter(name, one.unit, one.about)
        return made

    def _add(self, metric: str, value: float, labels: Mapping[str, str]) -> None:
        if isinstance(counter := self._instruments[metric], Counter):
            counter.add(value, labels)

    def _observed(self, metric: str, options: CallbackOptions) -> list[Observation]:
        return [Observation(value, dict(labels)) for name, value, labels in self._observe() if name == metric]

    def _run(self) -> None:
        while not self._stop.wait(self._plan.interval_s):
            self._open()
            self._push()
        self._push()

    def _open(self) -> None:
        """Open the port, or say why not; a predecessor may be about to free it."""
        port, host = self._plan.port, self._plan.host
        if port is None or self._endpoint is not None:
            return
        from tierlens.sinks.prometheus import PrometheusEndpoint

        try:
            self._endpoint = PrometheusEndpoint(self._scraped.get_metrics_data, host, port)
        except OSError as error:
            self._warn(
                "port",
                f"no metrics are offered on {host}:{port} ({error}); it is tried again every "
                f"{self._plan.interval_s:g} s. Give each journal of a host a TIERLENS_METRICS_PORT of its own",
            )

    def _push(self) -> None:
        if self._exporter is None or (data := self._pushed.get_metrics_data()) is None:
            return
        with suppress(Exception):
            if self._exporter.export(data) is MetricExportResult.SUCCESS:
                return
        self._warn(
            "push",
            f"metrics cannot be pushed to {self._plan.endpoint}, and nothing of them is lost: it is tried again every "
            f"{self._plan.interval_s:g} s. The address must be that of OTLP over HTTP, /v1/metrics and all",
        )


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


def _reader(plan: MetricsPlan) -> InMemoryMetricReader:
    # The SDK has a bound of its own, beyond which labels are lost altogether; ours is always reached first.
    most = plan.label_values * COMBINATIONS * _MORE
    return InMemoryMetricReader(cardinality_limits={sdk.Histogram: most, sdk.Counter: most})


def _resource() -> Resource:
    found = Resource.create({"service.instance.id": str(uuid.uuid4()), "process.pid": os.getpid()})
    named = not str(found.attributes.get(_SERVICE, _UNNAMED)).startswith(_UNNAMED)
    return found if named else found.merge(Resource({_SERVICE: "tierlens"}))


def _exporter(plan: MetricsPlan) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    # It has several lines to say of every failed try, and we one a minute.
    logging.getLogger(OTLPMetricExporter.__module__).addFilter(_not_ours)
    return OTLPMetricExporter(plan.endpoint, headers=dict(plan.headers) or None, timeout=min(_PUSH_S, plan.interval_s))
