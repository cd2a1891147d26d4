"""Whether MLflow can be reached and will take what is sent: the part of the diagnosis that talks to it."""

from __future__ import annotations

import contextlib
import email.utils
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx

from tierlens import presence
from tierlens.addresses import shown
from tierlens.cli.finding import Finding
from tierlens.errors import DeliveryError, Forbidden, Rejected, SettingsError
from tierlens.policy import Policies
from tierlens.projection.experiments import ExperimentStore
from tierlens.settings import Settings
from tierlens.sinks.answers import Answer, describe
from tierlens.sinks.channel import Channel
from tierlens.sinks.configured import credentials_for, sink_for
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.databases import is_empty, sqlite_file, tables_of
from tierlens.sinks.mends import mend_of
from tierlens.sinks.mlflow_http import RestBackend
from tierlens.sinks.mlflow_store import StoreBackend
from tierlens.sinks.opening import with_path
from tierlens.sinks.otlp import parse_headers
from tierlens.sinks.store import as_answers

_OLDEST: Final = (3, 17)
_START: Final = "start it (`tierlens up`), or set MLFLOW_TRACKING_URI; spans wait in the journal meanwhile"
_SKEW_S: Final = 30.0
_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_NOT_PERMITTED: Final = 403
# MLflow makes this one itself, so making it again changes nothing and still needs the permission.
_ALWAYS_THERE: Final = "Default"


def destination_findings(loaded: Settings, policies: Policies, waiting: Collection[str]) -> Iterator[Finding]:
    """What there is to say of the tracking URI and of the second destination.

    Args:
        waiting: names of the experiments that spans in the journal are for.
    """
    try:
        sink_for(loaded).close()
    except SettingsError as error:
        yield Finding("destination", "fail", str(error), f"set {error.where} right")
        return
    scheme = loaded.tracking_uri.partition(":")[0].lower()
    brands = policies.brands or (policies.default_brand,)
    experiments = tuple(dict.fromkeys((*map(policies.experiment, brands), *sorted(waiting))))
    if scheme in ("http", "https"):
        yield from _server(loaded, experiments)
    elif not scheme.startswith("otlp"):
        yield from _database(loaded, experiments)
    endpoint = with_path(loaded.tracking_uri.partition("+")[2]) if scheme.startswith("otlp") else loaded.otlp_endpoint
    if endpoint:
        headers = loaded.otlp_headers.get_secret_value() if loaded.otlp_headers else ""
        yield _collector(endpoint, parse_headers(headers))


def _server(loaded: Settings, experiments: Collection[str]) -> Iterator[Finding]:
    try:
        with Channel(loaded.tracking_uri, credentials_for(loaded), timeout=_TIMEOUT) as channel:
            started = time.time()
            answer = channel.request("GET", "/version")
            took_ms = (time.time() - started) * 1000
            if (refusal := _refusal(channel.shown, answer)) is not None:
                yield refusal
                return
            yield _version(channel.shown, answer.body.decode("utf-8", "replace").strip(), took_ms)
            yield from clock(answer.headers.get("date", ""), started)
            backend = RestBackend(channel)
            yield from _experiments(backend, experiments, partial(_takes_spans, backend))
    except Forbidden as error:
        found = f"{shown(loaded.tracking_uri)} tells its version, and refuses what delivery asks for: {error}"
        yield Finding("server", "fail", found, mend_of(error))
    except (DeliveryError, SettingsError) as error:
        yield Finding("server", "fail", str(error), _START)


def _refusal(shown: str, answer: Answer) -> Finding | None:
    """Why nothing more need be asked of what stands there."""
    status = answer.status
    if status >= 500 or status == 429:
        return Finding("server", "fail", f"{shown} answers {status}: {describe(answer)}", _START)
    if status != 200:
        # Who may not even ask for its version has not said who he is.
        mend = mend_of(Forbidden("", 401 if status == 403 else status)) or "set MLFLOW_TRACKING_URI"
        return Finding("server", "fail", f"{shown} answers {status}: {describe(answer)}", mend)
    parts = answer.body.decode("utf-8", "replace").strip().split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):
        mend = "set MLFLOW_TRACKING_URI to the address of an MLflow server, behind any log-in"
        return Finding("server", "fail", f"{shown} does not answer like MLflow", mend)
    return None


def _version(shown: str, text: str, took_ms: float) -> Finding:
    parts = text.split(".")
    found = f"{shown}: MLflow {text}, answers in {took_ms:.0f} ms"
    if (int(parts[0]), int(parts[1])) < _OLDEST:
        return Finding("server", "fail", found, "upgrade it to MLflow 3.17 or later")
    return Finding("server", "ok", found)


def clock(date: str, now: float) -> Iterator[Finding]:
    """How far the server's ``Date`` is from our Unix time; nothing where it sends none."""
    parsed = email.utils.parsedate_tz(date)
    if parsed is None:
        return
    skew = now - email.utils.mktime_tz(parsed)
    found = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    good = abs(skew) <= _SKEW_S
    yield Finding("clock", "ok" if good else "warn", found, "" if good else "set the clock by NTP")


def _takes_spans(backend: RestBackend, experiment_id: str) -> None:
    """Ask whether the server would take spans, by a request that has none.

    Raises:
        Forbidden: it would not.
    """
    with contextlib.suppress(Rejected):
        backend.log_spans(experiment_id, b"")


def _experiments(
    store: ExperimentStore, names: Collection[str], takes_spans: Callable[[str], None] = lambda experiment_id: None
) -> Iterator[Finding]:
    try:
        if there := store.experiment_named(_ALWAYS_THERE):
            store.create_experiment(_ALWAYS_THERE, "", {})
            with _permitted_or_not():
                takes_spans(there.id)
            yield Finding("permissions", "ok", "experiments can be read and made")
    except Forbidden as error:
        if error.status != _NOT_PERMITTED:
            raise
        mend = "let this user read and make experiments, or make those of the brands for it"
        yield Finding("permissions", "warn", str(error), mend)
    for name in names:
        try:
            yield _experiment(store, name, takes_spans)
        except Forbidden as error:
            yield Finding("experiment", "fail", f"{name}: its spans are refused: {error}", mend_of(error))


@contextlib.contextmanager
def _permitted_or_not() -> Iterator[None]:
    """Spans are not for the experiment that is always there: only who may send none at all is of interest."""
    try:
        yield
    except Forbidden as error:
        if error.status != _NOT_PERMITTED:
            raise


def _experiment(store: ExperimentStore, name: str, takes_spans: Callable[[str], None]) -> Finding:
    found = store.experiment_named(name)
    if found is None:
        return Finding("experiment", "ok", f"{name}: not there yet; the first trace makes it")
    if not found.active:
        mend = f"`mlflow experiments restore -x {found.id}`, or `mlflow gc`; its traces wait meanwhile"
        return Finding("experiment", "fail", f"{name}: deleted", mend)
    takes_spans(found.id)
    return Finding("experiment", "ok", f"{name}: id {found.id}")


def _database(loaded: Settings, experiments: Collection[str]) -> Iterator[Finding]:
    uri = loaded.tracking_uri
    if find_spec("mlflow") is None:
        yield Finding("database", "fail", "the mlflow package is not installed", "pip install mlflow")
        return
    path = sqlite_file(uri)
    if path is not None and not presence.exists(path):
        yield _new_file(path)
        return
    store = StoreBackend(uri, made=False)
    try:
        with as_answers():
            tables = tables_of(uri)
        if is_empty(tables):
            yield Finding("database", "ok", f"{shown(uri)} is empty; the first delivery makes its tables")
            return
        yield from _experiments(store, experiments)
        yield Finding("database", "ok", str(path) if path else "reachable")
    except DeliveryError as error:
        mend = "set MLFLOW_TRACKING_URI" if isinstance(error, Forbidden) else "start it, or set MLFLOW_TRACKING_URI"
        yield Finding("database", "fail", str(error), mend)
    finally:
        store.close()


def _new_file(path: Path) -> Finding:
    folder = next(parent for parent in path.absolute().parents if presence.exists(parent))
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding("database", "ok", f"{path} will be made at the first delivery")
    return Finding("database", "fail", f"{folder} cannot be written to", "set MLFLOW_TRACKING_URI")


def _collector(endpoint: str, headers: Mapping[str, str]) -> Finding:
    body = b'{"resourceSpans":[]}'
    try:
        with Channel(endpoint, Credentials(), timeout=_TIMEOUT) as channel:
            shown = channel.shown
            answer = channel.request("POST", "", body, {"Content-Type": "application/json", **headers})
    except DeliveryError as error:
        return Finding("OTLP endpoint", "warn", str(error), "start it, or unset TIERLENS_OTLP_ENDPOINT")
    good = 200 <= answer.status < 300
    return Finding("OTLP endpoint", "ok" if good else "warn", f"{shown} answers {answer.status}")
