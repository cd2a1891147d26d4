"""The sink that the settings describe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tierlens.config.environment import environment_of
from tierlens.sinks.base import Sink
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.opening import open_sink
from tierlens.sinks.otlp import parse_headers
from tierlens.sinks.price_book import prices_from
from tierlens.sinks.rewriting import SETTING

if TYPE_CHECKING:
    # pydantic takes as long to import as all of delivery, which a shipping process does without.
    from tierlens.settings import Settings


def sink_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> Sink:
    """A sink for the tracking URI, and for the second destination where there is one.

    Raises:
        SettingsError: an address, a credential or a header that cannot be used.
        ConfigError: config/prices.yaml is not what it should be.
    """
    return sink_from(environment_of(settings, environ))


def sink_from(environ: Mapping[str, str]) -> Sink:
    """The same from variables, as ``environment_of`` has them, without reading any configuration.

    Raises:
        SettingsError: as ``sink_for`` does.
    """
    return open_sink(
        environ["MLFLOW_TRACKING_URI"],
        credentials=Credentials.from_environment(environ),
        artifact_location=environ.get("MLFLOW_ARTIFACT_LOCATION", ""),
        otlp_endpoint=environ.get("TIERLENS_OTLP_ENDPOINT", ""),
        otlp_headers=parse_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")),
        redactor=environ.get(SETTING, ""),
        prices=prices_from(environ),
    )


def credentials_for(settings: Settings) -> Credentials:
    """MLflow's own variables as the settings have them, and its credentials file.

    Raises:
        SettingsError: as ``Credentials.from_environment`` does.
    """
    return Credentials.from_environment({**os.environ, **settings.as_environment()})
