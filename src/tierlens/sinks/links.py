"""Addresses of traces in MLflow's UI."""

from __future__ import annotations

from typing import Final

import httpx

from tierlens.projection.experiments import Experiments
from tierlens.settings import Settings
from tierlens.sinks.channel import Channel
from tierlens.sinks.configured import credentials_for
from tierlens.sinks.mlflow_http import RestBackend
from tierlens.spans import mlflow_id

# A link is asked for on an agent's own thread: better none than a long wait.
_TIMEOUT: Final = httpx.Timeout(2.0)
_LONGEST_S: Final = 4.0


class TraceLinks:
    """Links into the UI of the server that the settings name."""

    def __init__(self, settings: Settings) -> None:
        uri = settings.tracking_uri.rstrip("/")
        channel = Channel(uri, credentials_for(settings), timeout=_TIMEOUT, longest_s=_LONGEST_S, connections=1)
        self._channel, self._shown = channel, channel.shown.rstrip("/")
        self._experiments = Experiments(RestBackend(channel), settings.artifact_location or "")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def of(self, experiment: str, trace_id: str) -> str:
        """The address that opens a trace, whether it has been delivered yet or not.

        Raises:
            DeliveryError: the server does not say which experiment that is.
        """
        identity = self._experiments.id_of(experiment)
        return f"{self._shown}/#/experiments/{identity}/traces?selectedEvaluationId={mlflow_id(trace_id)}"
