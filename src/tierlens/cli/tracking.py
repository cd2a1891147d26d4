"""MLflow as commands read it, through its own client."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import httpx

from tierlens.addresses import is_database, shown
from tierlens.errors import Forbidden, TierlensError, Unavailable
from tierlens.settings import Settings
from tierlens.sinks.answers import verdict
from tierlens.sinks.channel import Channel
from tierlens.sinks.configured import credentials_for
from tierlens.sinks.databases import must_answer
from tierlens.sinks.opening import open_sink
from tierlens.sinks.store import as_answers

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_LONGEST: Final = 300


def must_be_ready(loaded: Settings) -> None:
    """Refuse to read what is no MLflow, or does not answer.

    Raises:
        TierlensError: the tracking URI is an OTLP endpoint.
        Unavailable: the server or database does not answer, or is not there.
        Forbidden: it refuses us, or is something else.
        SettingsError: an address or a credential that cannot be used.
    """
    scheme = loaded.tracking_uri.partition(":")[0].lower()
    if scheme.startswith("otlp"):
        raise TierlensError(
            "MLFLOW_TRACKING_URI is an OTLP endpoint, which tells nothing of what it has taken: "
            "set it to the MLflow server or database that has the traces"
        )
    # Refuses what is no address of an MLflow, in words of ours.
    open_sink(loaded.tracking_uri).close()
    if scheme in ("http", "https"):
        _must_answer(loaded)
    else:
        must_exist(loaded)


def client_for(loaded: Settings) -> MlflowClient:
    """MLflow's own client for the tracking URI, once its server has answered.

    Raises:
        TierlensError: as ``must_be_ready`` does.
    """
    must_be_ready(loaded)
    # mlflow's client reads credentials from its own variables, which .env and YAML may have set for us. By itself
    # it would try seven times before it says that something is wrong, and be silent for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.update(loaded.as_environment())
    from mlflow import MlflowClient

    return MlflowClient(loaded.tracking_uri)


def must_exist(loaded: Settings) -> None:
    """Refuse to read a database that is not there yet: MLflow would make an empty one, and answer from that.

    Raises:
        Unavailable: it is not there.
        Forbidden: its driver is not installed.
    """
    if is_database(loaded.tracking_uri):
        with as_answers():
            must_answer(loaded.tracking_uri, made=False)


def _must_answer(loaded: Settings) -> None:
    with Channel(loaded.tracking_uri, credentials_for(loaded), timeout=_TIMEOUT) as channel:
        answer = channel.request("GET", "/version")
    if answer.status >= 500:
        raise Unavailable(f"{channel.shown} answers {answer.status}", answer.status)
    # MLflow calls its version a web page, by its header.
    if isinstance(refusal := verdict(replace(answer, headers={**answer.headers, "content-type": ""})), Forbidden):
        raise refusal


@contextlib.contextmanager
def asking(uri: str) -> Iterator[None]:
    """Whatever MLflow's client raises, in one line.

    Raises:
        TierlensError: that line.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0][:_LONGEST]
        raise TierlensError(f"MLflow at {shown(uri)} cannot be asked: {said}") from error
