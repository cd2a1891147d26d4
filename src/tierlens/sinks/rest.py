"""MLflow's REST API as such: JSON that is posted, what a search finds page by page, and where it searches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from tierlens.sinks.answers import Answer
from tierlens.sinks.channel import SMALL, Channel
from tierlens.sinks.mlflow import accepted

Json = Mapping[str, Any]

INFOS: Final = 4 * 1024 * 1024
_MANY: Final = 100


class Rest:
    """Calls to one server; every method may raise DeliveryErrors."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def close(self) -> None:
        self._channel.close()

    def _post(self, path: str, body: Json, *, limit: int = SMALL) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self._channel.request("POST", path, orjson.dumps(body), headers, limit=limit)

    def _pages(self, path: str, body: Json, field: str, *, limit: int = INFOS) -> Iterator[Json]:
        """All objects that a search finds; of a page at most ``limit`` bytes are read."""
        page = ""
        while True:
            answer = accepted(self._post(path, {**body, "page_token": page}, limit=limit))
            yield from answer.objects(field)
            if not (page := answer.json().get("next_page_token", "")):
                return

    def _experiments(self, view: str = "ACTIVE_ONLY", *, limit: int = INFOS) -> Iterator[str]:
        """Ids of all experiments."""
        body = {"max_results": 1000, "view_type": view}
        for one in self._pages("/api/2.0/mlflow/experiments/search", body, "experiments", limit=limit):
            yield str(one["experiment_id"])


def many(ids: Sequence[str]) -> Iterator[list[str]]:
    """At most 100 at a time."""
    return (list(ids[at : at + _MANY]) for at in range(0, len(ids), _MANY))


def places(experiments: Iterable[str]) -> list[Json]:
    """Experiments, as a search for traces has them."""
    return [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": one}} for one in experiments]
