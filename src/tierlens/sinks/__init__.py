"""Where spans go: one small adapter a destination."""

from __future__ import annotations

from tierlens.sinks.base import Attached, Batch, Finding, Finish, Sink
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.opening import open_sink
from tierlens.sinks.otlp import OtlpSink

__all__ = [
    "Attached",
    "Batch",
    "Credentials",
    "FanOut",
    "Finding",
    "Finish",
    "MlflowHttpSink",
    "MlflowStoreSink",
    "OtlpSink",
    "Sink",
    "open_sink",
]
