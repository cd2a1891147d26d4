"""Tracers to compare, by name: what turns each on, and what waits until it has delivered.

Peers talk to a loopback server that answers 200 to anything (``SINK_URL``); mlflow and tierlens talk to the
real MLflow server that ``MLFLOW_TRACKING_URI`` names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EXPERIMENT = "overhead-mlflow"
BRAND = "Kisqali"
PEERS = ("langfuse", "langsmith", "openinference", "traceloop", "opik")


def nothing() -> None:
    """Nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Tracer:
    """A tracer that is on.

    Attributes:
        callbacks: for the graph's config; empty where the tracer has hooked itself in.
        flush: returns once everything is delivered, or given up.
        close: ends what would outlive the process.
    """

    callbacks: list[Any] = field(default_factory=list)
    flush: Callable[[], Any] = nothing
    close: Callable[[], Any] = nothing


def open_tracer(name: str) -> Tracer:
    """Turn the tracer on, in this process, for good."""
    return _OPEN[name]()


def _noop() -> Tracer:
    from langchain_core.callbacks import BaseCallbackHandler

    class Noop(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None: ...
        def on_chain_end(self, *args: Any, **kwargs: Any) -> None: ...
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None: ...
        def on_llm_end(self, *args: Any, **kwargs: Any) -> None: ...
        def on_retriever_start(self, *args: Any, **kwargs: Any) -> None: ...
        def on_retriever_end(self, *args: Any, **kwargs: Any) -> None: ...

    return Tracer([Noop()])


def _runcollector() -> Tracer:
    from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

    return Tracer([RunCollectorCallbackHandler()])


def _mlflow() -> Tracer:
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment(EXPERIMENT)
    mlflow.langchain.autolog()
    return Tracer(flush=mlflow.flush_trace_async_logging)


def _tierlens(shipper: str | None = None) -> Tracer:
    import tierlens

    lens = tierlens.init(tracking_uri=os.environ["MLFLOW_TRACKING_URI"], shipper=shipper)
    # Nobody ships beside an external one: there would be nothing to wait for.
    flush = nothing if shipper == "external" else lambda: lens.flush(timeout_s=300)
    return Tracer([lens.callback(brand=BRAND)], flush, lens.close)


def _langfuse() -> Tracer:
    sink = os.environ["SINK_URL"]
    os.environ.update(LANGFUSE_PUBLIC_KEY="pk-lf-1", LANGFUSE_SECRET_KEY="sk-lf-1")
    os.environ.update(LANGFUSE_BASE_URL=sink, LANGFUSE_HOST=sink)
    from langfuse import get_client
    from langfuse.langchain import CallbackHandler

    return Tracer([CallbackHandler()], lambda: get_client().flush())


def _langsmith() -> Tracer:
    os.environ.update(LANGSMITH_TRACING="true", LANGSMITH_API_KEY="ls-1", LANGSMITH_PROJECT="b")
    os.environ.update(LANGSMITH_ENDPOINT=os.environ["SINK_URL"])
    from langchain_core.tracers.langchain import LangChainTracer, wait_for_all_tracers

    return Tracer([LangChainTracer()], wait_for_all_tracers)


def _opik() -> Tracer:
    os.environ.update(OPIK_URL_OVERRIDE=os.environ["SINK_URL"], OPIK_API_KEY="x", OPIK_WORKSPACE="w")
    os.environ.update(OPIK_CHECK_TLS_CERTIFICATE="false")
    from opik.integrations.langchain import OpikTracer

    tracer = OpikTracer()
    return Tracer([tracer], tracer.flush)


def _openinference() -> Tracer:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    return _instrumented(LangChainInstrumentor())


def _traceloop() -> Tracer:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    return _instrumented(LangchainInstrumentor())


def _instrumented(instrumentor: Any) -> Tracer:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(os.environ["SINK_URL"] + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    instrumentor.instrument(tracer_provider=provider)
    return Tracer(flush=lambda: provider.force_flush(60_000))


_OPEN: dict[str, Callable[[], Tracer]] = {
    "noop": _noop,
    "runcollector": _runcollector,
    "mlflow": _mlflow,
    "tierlens": _tierlens,
    "tierlens-thread": lambda: _tierlens("thread"),
    "tierlens-process": lambda: _tierlens("process"),
    "tierlens-external": lambda: _tierlens("external"),
    "langfuse": _langfuse,
    "langsmith": _langsmith,
    "openinference": _openinference,
    "traceloop": _traceloop,
    "opik": _opik,
}
