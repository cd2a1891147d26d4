"""MLflow's tracing client: asynchronous logging, as it is by default."""

from __future__ import annotations

from typing import Any, Final

import mlflow

PACKAGES: Final = ("mlflow",)


class Mlflow:
    def call(self, name: str, value: Any, session: str | None = None) -> None:
        with mlflow.start_span(name) as span:
            span.set_inputs({"value": value})
            if session:
                mlflow.update_current_trace(metadata={"mlflow.trace.session": session})

    def flush(self) -> None:
        mlflow.flush_trace_async_logging()


def open_client(uri: str, experiment: str) -> Mlflow:
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment)
    return Mlflow()
