"""Any OTLP/HTTP endpoint: an OpenTelemetry Collector, a vendor, another MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from tierlens.errors import SettingsError
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.sinks.answers import verdict
from tierlens.sinks.base import Batch, Finish
from tierlens.sinks.channel import Channel
from tierlens.sinks.credentials import Credentials, must_be_sendable
from tierlens.sinks.encoding import CONTENT_TYPE, parsed


class OtlpSink:
    """Posts protobuf to an endpoint that speaks OTLP over HTTP.

    Custom metrics go along as the spans' own attributes (``tierlens.metric.<name>``); OTLP traces have no
    place for files, so those stay with MLflow.

    Args:
        endpoint: the full address, as in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ``http://collector:4318/v1/traces``.
        headers: sent with every request, such as an API key.
        prices: of the calls in what it is sent.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        prices: PriceBook = PUBLISHED,
    ) -> None:
        self._channel = Channel(endpoint, Credentials(), connections=1)
        self._headers = {**CONTENT_TYPE, **(headers or {})}
        self._prices = prices

    def send(self, batch: Batch) -> None:
        answer = self._channel.request("POST", "", parsed(batch, self._prices).request(), self._headers)
        if error := verdict(answer):
            raise error

    def finish(self, finish: Finish) -> None:
        """Nothing: what a finish adds, OTLP has no place for, or has already."""

    def close(self) -> None:
        self._channel.close()


def parse_headers(text: str) -> dict[str, str]:
    """``name=value,name=value`` with values percent-encoded, as in OTEL_EXPORTER_OTLP_TRACES_HEADERS.

    Raises:
        SettingsError: a part without a name or without ``=``, or that no header can carry; the value is not shown.
    """
    headers: dict[str, str] = {}
    where = "OTEL_EXPORTER_OTLP_HEADERS"
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise SettingsError(where, "", "a part of it", "is not name=value")
        headers[name.strip()] = unquote(value.strip()).strip()
        must_be_sendable(where, name + headers[name.strip()])
    return headers
