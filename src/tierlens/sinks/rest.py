"""MLflow's REST API as such: JSON that is posted, and what a search finds page by page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from tierlens.sinks.answers import Answer
from tierlens.sinks.channel import SMALL, Channel
from tierlens.sinks.mlflow import accepted

Json = Mapping[str, Any]

PAGE: Final = 500
LONGEST: Final = 64 * 1024 * 1024
_INFOS: Final = 4 * 1024 * 1024


class Rest:
    """Calls to one server; every method may raise DeliveryErrors."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def close(self) -> None:
        self._channel.close()

    def _post(self, path: str, body: Json, *, limit: int = SMALL) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self._channel.request("POST", path, orjson.dumps(body), headers, limit=limit)

    def _pages(self, path: str, body: Json, field: str, *, limit: int = _INFOS) -> Iterator[Json]:
        """All objects that a search finds; of a page at most ``limit`` bytes are read."""
        page = ""
        while True:
            answer = accepted(self._post(path, {**body, "page_token": page}, limit=limit))
            yield from answer.objects(field)
            if not (page := answer.json().get("next_page_token", "")):
                return

    def _experiments(self, view: str = "ACTIVE_ONLY", *, limit: int = _INFOS) -> Iterator[str]:
        """Ids of all experiments."""
        body = {"max_results": 1000, "view_type": view}
        for one in self._pages("/api/2.0/mlflow/experiments/search", body, "experiments", limit=limit):
            yield str(one["experiment_id"])

    def _search_traces(self, experiments: Iterable[str], condition: str, page_size: int = PAGE) -> Iterator[Json]:
        """Infos of the traces in at most 100 experiments that meet a filter of MLflow's, the newest first."""
        body = {
            "locations": [
                {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": one}} for one in experiments
            ],
            "filter": condition,
            "max_results": min(page_size, PAGE),
            "order_by": ["timestamp_ms DESC"],
        }
        return self._pages("/api/3.0/mlflow/traces/search", body, "traces", limit=LONGEST)


def many(ids: Sequence[str], size: int = 100) -> Iterator[list[str]]:
    """At most ``size`` at a time; of experiments, a search takes 100."""
    return (list(ids[at : at + size]) for at in range(0, len(ids), size))


def hex_id(encoded: str) -> str:
    """A span's id, which MLflow's JSON has in base64."""
    return base64.b64decode(encoded).hex()
