"""Tracking URIs: which of them anything can be delivered to, and how one is shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_SERVERS: Final = frozenset({"http", "https", "otlp+http", "otlp+https"})
_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mssql")
_BARE: Final = re.compile(r"[\w.-]+:\d+(/|$)")
_SECRET: Final = re.compile(r"([?&;](?:password|passwd|pwd|token|secret|key)=)[^&;]*", re.IGNORECASE)
_WANTED: Final = (
    "is not supported: give the address of an MLflow server (http://localhost:5000; `tierlens up` starts "
    "one), a database (sqlite:///mlflow.db, postgresql://user@host/mlflow) or an OTLP endpoint (otlp+http://host:4318)"
)


def shown(address: str) -> str:
    """An address without what may be a password."""
    bare = _SECRET.sub(r"\1***", address)
    scheme, _, rest = bare.partition("://")
    # What follows three slashes is a path, and names nobody.
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest and not rest.startswith("/") else bare


def is_database(uri: str) -> bool:
    """Whether it names a database, of those that MLflow runs on."""
    return "://" in uri and uri.partition(":")[0].lower().partition("+")[0] in _DATABASES


def address_fault(uri: str) -> str | None:
    """Why nothing can be delivered to a tracking URI, whatever answers there; None where something may."""
    scheme = uri.partition(":")[0].lower()
    if scheme in _SERVERS:
        return _server_fault(uri)
    if is_database(uri):
        return None
    if scheme.startswith("databricks"):
        return _WANTED.replace("supported:", "supported (Databricks):")
    if _BARE.match(uri):
        return f"is not supported without a scheme: did you mean http://{uri}?"
    if "://" not in uri or scheme == "file":
        return f"is a folder, which MLflow keeps no traces in any more, and {_WANTED}"
    return _WANTED


def _server_fault(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        return f"is not an address: {error}"
    if not parts.hostname:
        return "names no host"
    if "#" in uri:
        return f"is the address of a page: leave out what follows {shown(uri.partition('#')[0])}"
    return None
