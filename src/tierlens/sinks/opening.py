"""The sink for an address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import httpx

from tierlens.addresses import address_fault, is_database, shown
from tierlens.errors import SettingsError
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.sinks.base import Sink
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.otlp import OtlpSink
from tierlens.sinks.rewriting import FailingClosed, redactor_named, rewriting

_WHERE: Final = "MLFLOW_TRACKING_URI"


def open_sink(
    tracking_uri: str,
    *,
    credentials: Credentials | None = None,
    artifact_location: str = "",
    otlp_endpoint: str = "",
    otlp_headers: Mapping[str, str] | None = None,
    redactor: str = "",
    prices: PriceBook = PUBLISHED,
) -> Sink:
    """A sink for an address; nothing is connected to, nor imported, before its first use.

    Args:
        tracking_uri: ``http(s)://`` an MLflow server; ``sqlite:///`` or another database MLflow runs on;
            ``otlp+http(s)://`` an OTLP endpoint, ``/v1/traces`` added where no path is given.
        credentials: for an MLflow server; None reads MLflow's own variables.
        artifact_location: where new experiments keep artifacts; "" leaves it to MLflow.
        otlp_endpoint: a second destination, see FanOut.
        otlp_headers: sent to OTLP endpoints.
        redactor: what all text passes through first, as ``sinks.rewriting.redactor_named`` has it; "" is nothing.
        prices: of the calls that are delivered, to either destination.

    Raises:
        SettingsError: the address is none of these, a local folder (./mlruns) or Databricks among them.
    """
    first = _open(tracking_uri, credentials, artifact_location, otlp_headers, prices)
    rewrite = FailingClosed(partial(redactor_named, redactor)) if redactor else None
    if rewrite:
        first = rewriting(first, rewrite)
    if not otlp_endpoint:
        return first
    endpoint = _checked(otlp_endpoint, "TIERLENS_OTLP_ENDPOINT")
    second: Sink = OtlpSink(endpoint, headers=otlp_headers, prices=prices)
    return FanOut(first, rewriting(second, rewrite) if rewrite else second)


def _open(
    uri: str,
    credentials: Credentials | None,
    artifact_location: str,
    headers: Mapping[str, str] | None,
    prices: PriceBook,
) -> Sink:
    if fault := address_fault(uri):
        raise SettingsError(_WHERE, "", repr(shown(uri)), fault)
    if is_database(uri):
        return MlflowStoreSink(uri, artifact_location=artifact_location, prices=prices)
    if uri.lower().startswith("otlp+"):
        return OtlpSink(with_path(_checked(uri.partition("+")[2], _WHERE)), headers=headers, prices=prices)
    server = _checked(uri, _WHERE)
    return MlflowHttpSink(server, credentials=credentials, artifact_location=artifact_location, prices=prices)


def _checked(uri: str, where: str) -> str:
    try:
        host = httpx.URL(uri).host
    except httpx.InvalidURL as e:
        raise SettingsError(where, "", repr(shown(uri)), f"is not an address: {e}") from e
    if not host:
        raise SettingsError(where, "", repr(shown(uri)), "names no host")
    return uri


def with_path(endpoint: str) -> str:
    """An OTLP endpoint's address, ``/v1/traces`` added where it names no path."""
    return endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces"
