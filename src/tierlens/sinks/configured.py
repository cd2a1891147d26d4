"""The sink that the settings describe."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tierlens.settings import Settings
from tierlens.sinks.base import Sink
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.opening import open_sink
from tierlens.sinks.otlp import parse_headers


def sink_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> Sink:
    """A sink for the tracking URI, and for the second destination where there is one.

    Raises:
        SettingsError: an address, a credential or a header that cannot be used.
    """
    headers = settings.otlp_headers.get_secret_value() if settings.otlp_headers else ""
    return open_sink(
        settings.tracking_uri,
        credentials=credentials_for(settings, environ),
        artifact_location=settings.artifact_location or "",
        otlp_endpoint=settings.otlp_endpoint or "",
        otlp_headers=parse_headers(headers),
    )


def credentials_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> Credentials:
    """MLflow's own variables as the settings have them, and its credentials file.

    Raises:
        SettingsError: as ``Credentials.from_environment`` does.
    """
    return Credentials.from_environment({**environ, **settings.as_environment()})
