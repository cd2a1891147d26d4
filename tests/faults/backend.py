"""A real MLflow server, and what its database holds: no client's word is taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import text

from tests.faults.content import digest_of_stored
from tests.faults.verdict import StoredSpan
from tierlens.local import MlflowServer, ServerPlan
from tierlens.local.postgres import Postgres

DIED: Final = "process died"
_IN_EXPERIMENT: Final = "experiment_id in (select experiment_id from experiments where name like :named)"
_SPANS: Final = f"select trace_id, span_id, content from spans where {_IN_EXPERIMENT}"
_ASSESSMENTS: Final = f"""
    select count(*) as rows, count(distinct trace_id || name || coalesce(span_id, '')) as told
    from assessments where trace_id in (select request_id from trace_info where {_IN_EXPERIMENT})"""
_TOKENS: Final = f"select coalesce(sum(total_tokens), 0) from trace_info where {_IN_EXPERIMENT}"


class Backend:
    """A running server.

    Attributes:
        uri: its address.
        kind: what its database is.
    """

    def __init__(self, uri: str, database: str, kind: str) -> None:
        self.uri, self.kind = uri, kind
        # A connection that stays open would hold its lock, and the server's next commit with it.
        self._engine = sqlalchemy.create_engine(database, poolclass=sqlalchemy.NullPool)

    def spans(self, experiment: str) -> list[StoredSpan]:
        """Every row of an experiment, and of those whose names begin with its name and a slash."""
        return [_stored(trace, span, orjson.loads(content)) for trace, span, content in self._rows(_SPANS, experiment)]

    def contents(self, experiment: str) -> dict[str, dict[str, Any]]:
        """The content of every span of an experiment, by span id."""
        return {span: orjson.loads(content) for _, span, content in self._rows(_SPANS, experiment)}

    def has(self, trace_id: str) -> bool:
        """Whether any span of a trace is stored."""
        return bool(self._ask("select 1 from spans where trace_id = :trace limit 1", trace=f"tr-{trace_id}"))

    def has_span(self, experiment: str, span_id: str) -> bool:
        """Whether a span is stored."""
        query = f"select 1 from spans where {_IN_EXPERIMENT} and span_id = :span limit 1"
        return bool(self._ask(query, named=f"{experiment}%", span=span_id))

    def count(self, experiment: str) -> int:
        """Rows of spans in an experiment."""
        return int(self._ask(f"select count(*) from spans where {_IN_EXPERIMENT}", named=f"{experiment}%")[0][0])

    def assessments(self, experiment: str) -> tuple[int, int]:
        """Rows of assessments, and how many of them there are that say different things."""
        [(rows, told)] = self._rows(_ASSESSMENTS, experiment)
        return int(rows), int(told)

    def tokens(self, experiment: str) -> int:
        """Sum of the token totals of the experiment's traces."""
        return int(self._rows(_TOKENS, experiment)[0][0])

    def _rows(self, query: str, experiment: str) -> Sequence[Any]:
        return self._ask(query, named=f"{experiment}%")

    def _ask(self, query: str, **values: str) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(text(query), values).all()


def _stored(trace: str, span: str, content: dict[str, Any]) -> StoredSpan:
    died = (content.get("status") or {}).get("message") == DIED
    return StoredSpan(trace.removeprefix("tr-"), span, digest_of_stored(content), died)


@contextmanager
def sqlite_backend(folder: Path) -> Iterator[Backend]:
    with MlflowServer(ServerPlan(folder, port=0)) as server:
        yield Backend(server.uri, f"sqlite:///file:{folder}/mlflow.db?mode=ro&uri=true", "SQLite")


@contextmanager
def postgres_backend(folder: Path) -> Iterator[Backend]:
    with MlflowServer(ServerPlan(folder, port=0, postgres=True)) as server:
        # Joins the one that the server runs on, and leaves it to the server to stop.
        yield Backend(server.uri, Postgres(folder / "postgres").start(), "PostgreSQL")
