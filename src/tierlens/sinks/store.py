"""MLflow's own store as such: opened on a database, its searches page by page, its errors as answers.

The mlflow package is imported at the first call, in whatever process makes it: 4 s and 170 MB.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from tierlens.errors import DeliveryError, Forbidden, Unavailable
from tierlens.sinks.answers import Answer
from tierlens.sinks.databases import artifact_root, file_identity, must_answer, with_driver
from tierlens.sinks.mlflow import accepted
from tierlens.sinks.rest import PAGE, Json


class Store:
    """One database; every method may raise what the store does, which is for ``as_answers``.

    Args:
        made: an SQLite file that is not there is made; else it is Unavailable.
    """

    def __init__(self, database_uri: str, *, made: bool = True) -> None:
        self._uri, self._made = database_uri, made
        self._opened: Any = None
        self._identity: tuple[int, int] | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.engine.dispose()
            self._opened = None

    def _experiments(self, *, deleted: bool = False) -> list[str]:
        """Ids of all experiments."""
        from mlflow.entities import ViewType

        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        return [str(one.experiment_id) for one in pages(self._store.search_experiments, view_type=view)]

    def _search_traces(self, experiments: Iterable[str], condition: str, page_size: int = PAGE) -> Iterator[Json]:
        """Infos of the traces in some experiments that meet a filter of MLflow's, the newest first."""
        page: str | None = None
        while True:
            infos, page = self._store.search_traces(
                experiment_ids=list(experiments),
                filter_string=condition or None,
                max_results=min(page_size, PAGE),
                order_by=["timestamp_ms DESC"],
                page_token=page,
            )
            yield from (info.to_dict() for info in infos)
            if not page:
                return

    @property
    def _store(self) -> Any:
        if self._opened is not None and self._identity != file_identity(self._uri):
            # Its file was deleted or replaced: what is written to the old one is lost, or refused for ever.
            self.close()
        if self._opened is None:
            must_answer(self._uri, made=self._made)
            module: Any = importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
            self._opened = module.SqlAlchemyStore(with_driver(self._uri), artifact_root(self._uri))
            self._identity = file_identity(self._uri)
        return self._opened


def pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Whatever one of MLflow's searches finds, of all its pages: of experiments, one has a thousand."""
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextlib.contextmanager
def as_answers() -> Iterator[None]:
    """Whatever the store raises, as the answer MLflow's server would have made of it.

    Raises:
        DeliveryError: as ``sinks.answers.verdict`` has it.
    """
    try:
        yield
    except DeliveryError:
        raise
    except ImportError as e:
        raise Forbidden(f"{e.name} is not installed; for PostgreSQL: pip install 'tierlens[postgres]'") from e
    except Exception as e:  # SQLAlchemy, drivers and MLflow each have their own
        status = getattr(e, "get_http_status_code", lambda: 500)()
        said = {"error_code": getattr(e, "error_code", ""), "message": str(e)}
        if "database schema" in str(e):
            raise Forbidden(str(e)) from e
        accepted(Answer(status, orjson.dumps(said)))
        raise Unavailable(str(e)) from e
