"""Experiment names to ids: made on first use, by whichever process comes first, and never guessed twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from tierlens.errors import Forbidden, Unavailable

TAGS: Final = {"mlflow.experimentKind": "genai_development"}


class UnknownExperiment(Forbidden):
    """The id we hold names no experiment that takes traces: it is gone, deleted, or from another database."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as MLflow has it; a deleted one is not ``active`` and still owns its name."""

    id: str
    name: str
    active: bool


class ExperimentStore(Protocol):
    """What it takes to find and make experiments; both raise DeliveryErrors."""

    def experiment_named(self, name: str) -> Experiment | None: ...

    def create_experiment(self, name: str, artifact_location: str, tags: Mapping[str, str]) -> str | None:
        """The new id, or None where the name is taken. ``artifact_location`` "" leaves it to MLflow."""
        ...


class Experiments:
    """Ids by name, asked for again every ``recheck_s``.

    MLflow takes spans for a deleted experiment without a word, and an id means another brand once the
    database behind the server was replaced; asking again keeps both from lasting. Whoever is told that an id is
    unknown, or has had no answer, asks again at once.

    Args:
        store: where experiments are.
        artifact_location: where new experiments keep artifacts; "" leaves it to MLflow.
        recheck_s: how long an id is believed, in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: ExperimentStore,
        artifact_location: str = "",
        *,
        recheck_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._artifact_location = store, artifact_location
        self._recheck_s, self._clock = recheck_s, clock
        self._known: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def id_of(self, name: str) -> str:
        """The id of an active experiment of this name, made if there is none.

        Raises:
            Forbidden: the experiment was deleted, which only a person should undo.
            DeliveryError: whatever the store answers.
        """
        with self._lock:
            known = self._known.get(name)
            if known is None or self._clock() >= known[1]:
                known = (self._find_or_make(name), self._clock() + self._recheck_s)
                self._known[name] = known
            return known[0]

    def forget(self) -> None:
        """Ask anew at the next use, whatever the name: with one id that is wrong, any other may be another brand's."""
        with self._lock:
            self._known.clear()

    def _find_or_make(self, name: str) -> str:
        self._known.pop(name, None)
        found = self._store.experiment_named(name)
        if found is None:
            if made := self._store.create_experiment(name, self._artifact_location, TAGS):
                return made
            # Another process made it between our two questions.
            found = self._store.experiment_named(name)
        if found is None:
            raise Unavailable(f"experiment {name!r} is neither to be found nor to be made")
        if not found.active:
            raise Forbidden(
                f"experiment {name!r} (id {found.id}) is deleted; its traces wait until "
                f"`mlflow experiments restore -x {found.id}` brings it back or `mlflow gc` frees its name"
            )
        return found.id
