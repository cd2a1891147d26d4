"""The versions of agents' configurations that ran, read back from MLflow's runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from tierlens import keys
from tierlens.cli.tracking import asking, client_for
from tierlens.projection.runs import APP, MODE, MODEL, yaml_of
from tierlens.settings import Settings
from tierlens.sinks.store import pages

RESTORED: Final = "tierlens.restored"
_EXPERIMENTS: Final = 1_000
_TOGETHER: Final = 100
_RUNS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Version:
    """One configuration of an agent that ran, in all experiments together.

    Attributes:
        tier: "" where it has none.
        models: agent versions in MLflow, by their ids.
        runs: MLflow's runs of it, by their ids.
        asked: the models that were asked.
        first_ms, last_ms: Unix time of the first invocation, and of the end of the latest.
        yaml: the agent's file as it stood; "" where it had none.
        restored: when it was rolled back to, and by whom.
    """

    agent: str
    version: str
    tier: str
    brands: tuple[str, ...]
    models: tuple[str, ...]
    runs: tuple[str, ...]
    asked: tuple[str, ...]
    first_ms: int
    last_ms: int
    yaml: str = ""
    restored: tuple[str, ...] = ()


class Versions:
    """What ran of one application, as a tracking server or database has it.

    Args:
        app: the application's name; others on the same server may have agents of the same names.

    Raises:
        TierlensError: it cannot be reached, or does not answer like MLflow.
    """

    def __init__(self, settings: Settings, app: str) -> None:
        self._app, self._uri = app, settings.tracking_uri
        with asking(self._uri):
            self._client = client_for(settings)

    def all(self, agent: str = "") -> list[Version]:
        """Every version, that which ran last first; with ``agent``, only its own."""
        condition = f"tags.`{MODE}` = 'per_version' AND tags.`{APP}` = {_quoted(self._app)}"
        condition += f" AND params.agent = {_quoted(agent)}" if agent else ""
        found: dict[tuple[str, str], list[Any]] = {}
        for run in self._runs(condition):
            params = run.data.params
            found.setdefault((params.get("agent", ""), params.get("version", "")), []).append(run)
        versions = [_version(agent, version, runs) for (agent, version), runs in found.items()]
        return sorted(versions, key=lambda version: version.last_ms, reverse=True)

    def note_restored(self, version: Version, note: str) -> None:
        """Have its history say that it was rolled back to."""
        text = "\n".join((*version.restored, note))[-5_000:]
        with asking(self._uri):
            for run_id in version.runs:
                self._client.set_tag(run_id, RESTORED, text)

    def _runs(self, condition: str) -> Iterable[Any]:
        with asking(self._uri):
            found = pages(self._client.search_experiments, max_results=_EXPERIMENTS)
            experiments = [one.experiment_id for one in found]
            for at in range(0, len(experiments), _TOGETHER):
                some = experiments[at : at + _TOGETHER]
                yield from pages(
                    self._client.search_runs, experiment_ids=some, filter_string=condition, max_results=_RUNS
                )


def _quoted(name: str) -> str:
    """A name for MLflow's filters, which know no escapes."""
    quotes = "'" if "'" not in name else '"'
    return f"{quotes}{name}{quotes}"


def _version(agent: str, version: str, runs: Sequence[Any]) -> Version:
    def each(part: Literal["params", "tags"], key: str) -> tuple[str, ...]:
        return tuple(sorted({value for run in runs if (value := getattr(run.data, part).get(key))}))

    notes = {note for text in each("tags", RESTORED) for note in text.splitlines()}
    return Version(
        agent,
        version,
        next(iter(each("params", "tier")), ""),
        each("tags", keys.BRAND),
        each("tags", MODEL),
        tuple(run.info.run_id for run in runs),
        # A run whose calls asked several has them in one param.
        tuple(sorted({one for text in each("params", "model") for one in text.split(", ")})),
        min(run.info.start_time for run in runs),
        max(run.info.end_time or run.info.start_time for run in runs),
        next((text for run in runs if (text := yaml_of(run.data.tags))), ""),
        tuple(sorted(notes)),
    )
