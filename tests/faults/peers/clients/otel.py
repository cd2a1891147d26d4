"""OpenTelemetry's SDK: BatchSpanProcessor and the OTLP exporter over HTTP, as its "Exporters" page sets them up."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PACKAGES: Final = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


class Otel:
    def __init__(self, uri: str) -> None:
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{uri}/v1/traces")))
        trace.set_tracer_provider(self._provider)
        self._tracer = trace.get_tracer("faults")

    def call(self, name: str, value: Any, session: str | None = None) -> None:
        with self._tracer.start_as_current_span(name) as span:
            span.set_attribute("input", value)
            if session:
                span.set_attribute("session.id", session)

    def flush(self) -> None:
        self._provider.force_flush()


def open_client(uri: str, experiment: str) -> Otel:
    return Otel(uri)
