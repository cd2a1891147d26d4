"""MLflow's databases by their addresses: which file or server one names, and whether that is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Set
from pathlib import Path
from typing import Any, Final

from tierlens import presence
from tierlens.addresses import shown
from tierlens.errors import Forbidden, Unavailable

_FIRST: Final = "experiments"
_TIMEOUT: Final = "connect_timeout"
_TIMEOUT_S: Final = "5"
_KNOW_A_TIMEOUT: Final = frozenset({"mysqldb", "psycopg", "psycopg2", "pymysql"})
# What databases say of a user or a database that they do not know, and no further try would change.
_NO_ENTRY: Final = re.compile(
    r"authentication failed|no pg_hba\.conf entry|(role|database) \S+ does not exist|access denied", re.IGNORECASE
)


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite database; None where the address names none, or names it as SQLite's own URI."""
    path = uri.partition(":///")[2].partition("?")[0] if uri.lower().startswith("sqlite") else ""
    return Path(path) if path and path != ":memory:" and not path.startswith("file:") else None


def file_identity(uri: str) -> tuple[int, int] | None:
    """What tells an SQLite database's file from another one of its name; None where there is none."""
    path = sqlite_file(uri)
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def artifact_root(uri: str) -> str:
    """Where experiments keep artifacts if nobody says."""
    path = sqlite_file(uri)
    return str(path.absolute().parent / "artifacts" if path else Path("mlartifacts").absolute())


def with_driver(uri: str) -> str:
    """The driver that is installed: what a bare ``postgresql://`` means depends on SQLAlchemy's version."""
    if uri.startswith("postgresql://") and importlib.util.find_spec("psycopg") is None:
        return uri.replace("postgresql://", "postgresql+psycopg2://", 1)
    return uri


def must_answer(uri: str, *, made: bool = True) -> None:
    """Ask whether there is a database, before MLflow does: it would ask again and again, for nearly two minutes.

    Args:
        made: one that is not there, or has no tables yet, is as good, for MLflow makes it.

    Raises:
        Unavailable: it is not there, or does not answer.
        Forbidden: it knows no such user, password or database, or is an older MLflow's.
        ImportError: a driver is not installed.
    """
    path = sqlite_file(uri)
    if not (made or path is None or presence.exists(path)):
        raise Unavailable(f"{shown(uri)} is not there (no file {path.absolute()})")
    if made and uri.lower().startswith("sqlite"):
        return
    tables = tables_of(uri)
    if made:
        return
    if is_empty(tables):
        raise Unavailable(f"{shown(uri)} has no tables yet: the first delivery makes them")
    if _expected() - tables:
        raise Forbidden(f"{shown(uri)} is an older MLflow's: back it up, then `mlflow db upgrade`")


def is_empty(tables: Set[str]) -> bool:
    """Whether a database with these tables has none of MLflow's yet."""
    return _FIRST not in tables


def tables_of(uri: str) -> Set[str]:
    """Names of the tables there are. MLflow's own store would make them, or upgrade them, only to look.

    Raises:
        Unavailable, Forbidden, ImportError: as ``must_answer`` does.
    """
    from sqlalchemy import inspect
    from sqlalchemy.exc import DBAPIError

    utils: Any = importlib.import_module("mlflow.store.db.utils")
    engine = utils.create_sqlalchemy_engine(_impatient(with_driver(uri)))
    try:
        return frozenset(inspect(engine).get_table_names())
    except DBAPIError as error:
        said = (str(error.orig).splitlines() or [""])[0]
        kind = Forbidden if _NO_ENTRY.search(said) else Unavailable
        raise kind(f"{shown(uri)}: {said}") from error
    finally:
        engine.dispose()


def _expected() -> Set[str]:
    """The tables of the MLflow that is installed."""
    utils: Any = importlib.import_module("mlflow.store.db.utils")
    return frozenset(utils.Base.metadata.tables)


def _impatient(uri: str) -> str:
    """The address with a limit on how long connecting takes, where it has none and the driver knows one."""
    from sqlalchemy import make_url

    url = make_url(uri)
    if url.get_driver_name() not in _KNOW_A_TIMEOUT or _TIMEOUT in url.query:
        return uri
    return url.update_query_dict({_TIMEOUT: _TIMEOUT_S}).render_as_string(hide_password=False)
