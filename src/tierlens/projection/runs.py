"""What MLflow's runs get from the spans of agents and roots.

Each such span's line says all it takes: which configuration it ran with and which model calls were made in it, so
that nothing has to be put together from several spans that may come days apart, or twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.projection.attributes import attributes_of
from tierlens.projection.finish import Attached, about
from tierlens.projection.names import LONGEST_NAME, metric_name
from tierlens.projection.prices import PriceBook
from tierlens.projection.work import SUMS, Work, how, totals, work_of
from tierlens.spans import mlflow_id

RUN: Final = "tierlens.run"
APP: Final = "tierlens.app"
MODE: Final = "tierlens.runs"
MODEL: Final = "tierlens.agent_version"
YAML: Final = "tierlens.yaml"
_LONGEST_PIECE: Final = 4_000
_EXTERNAL: Final = "mlflow.model.isExternal"
_NOT_IN_MODELS: Final = re.compile(r"[/:.%\"']")
_LONGEST_FLAG: Final = 500
_LONGEST_TEXT: Final = 5_000
_LONGEST_LABEL: Final = 60
_RESERVED: Final = frozenset({"latency_s", "succeeded", "refused_metrics", *SUMS})


class Point(NamedTuple):
    """One value of a run's metric, at Unix time in milliseconds."""

    key: str
    value: float
    timestamp_ms: int
    step: int


@dataclass(frozen=True, slots=True)
class Run:
    """One of MLflow's runs, as one invocation tells of it.

    Attributes:
        key: stands for it in its experiment, whoever makes it and however often: the tag `RUN`.
        parent: the key of the run it lies in, or "".
        start_ms, end_ms: Unix time of the invocation.
        lasting: there will be further invocations in it.
        flags: of a lasting run, the flags of the configuration.
        yaml: of a lasting run, the agent's file.
        how: params that say which model was asked, how, and by which prompts; empty where none was.
    """

    key: str
    name: str
    start_ms: int
    end_ms: int
    parent: str = ""
    lasting: bool = False
    failed: bool = False
    flags: Mapping[str, str] = field(default_factory=dict)
    yaml: str = ""
    how: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One invocation's share of one run.

    Attributes:
        experiment: of the run, by name.
        start_ns: when the invocation began.
        metrics: numbers, by name.
        files: of an invocation that has a run to itself.
    """

    experiment: str
    trace_id: str
    run: Run
    start_ns: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Sequence[Attached] = ()

    def points(self, run_start_ms: int) -> Iterator[Point]:
        """The metrics as MLflow's points. The step is the nanoseconds from the run's beginning, so that no two
        invocations of a run share one: MLflow would take equal values of theirs for the same point."""
        step = self.start_ns - run_start_ms * 1_000_000 if self.run.lasting else 0
        for name, value in self.metrics.items():
            yield Point(name, value, self.run.end_ms, step)


def record(line: Line, prices: PriceBook) -> Record | None:
    """What a finished span's line says of a run, if anything; its calls cost what ``prices`` say.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: as ``work_of`` does.
    """
    work = work_of(line)
    if work is None or work.invocation.runs == "off":
        return None
    if work.invocation.runs == "per_invocation":
        run = _of_invocation(work)
    elif work.is_agent or work.calls or line.metrics:
        run = _of_version(work)
    else:
        return None
    experiment = work.invocation.experiment or line.experiment
    return Record(experiment, line.trace, run, work.start_ns, _measured(work, prices))


def _measured(work: Work, prices: PriceBook) -> dict[str, float]:
    took_s = (work.end_ns - work.start_ns) / 1e9
    refused = sum(key.startswith(keys.METRIC_REFUSED) for key in work.attributes)
    return {
        # Of one whose process died nobody may know how long it went on.
        **({"latency_s": took_s} if took_s else {}),
        "succeeded": float(not work.failed),
        # Every point is four rows of MLflow's database: "ok" is what "succeeded" says by itself.
        **({metric_name(f"outcome/{work.outcome}"): 1.0} if work.outcome != "ok" else {}),
        **totals(work.calls, prices),
        **({"refused_metrics": float(refused)} if refused else {}),
        **{f"own/{name}" if _ours(name) else name: value for name, value in _own(work).items()},
    }


def _ours(name: str) -> bool:
    """Whether a run has a metric of this name anyway."""
    return name in _RESERVED or name.startswith("outcome/")


def _of_version(work: Work) -> Run:
    """The run of a configuration version."""
    return Run(
        f"version/{_digest([_application(work.line.resource), work.line.brand, work.agent, work.invocation.version])}",
        f"{work.agent} {work.invocation.version[:6]}",
        work.start_ms,
        work.end_ms,
        lasting=True,
        how=_how(work),
        params=_params(work),
        tags=_tags(work),
    )


def variant(run: Run) -> Run:
    """The run of a version in which models were asked otherwise than in its first: code has changed, or fallen back."""
    how = sorted(run.how.items())
    name = " ".join((run.name, *(f"{key}={value}" if key != "model" else value for key, value in how)))
    return replace(run, key=f"{run.key}/{_digest(how)}", name=name)


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """A configuration that ran, as MLflow's external models have it."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


def agent_version(run: Run) -> AgentVersion:
    """The version of an agent that a lasting run is of."""
    params = {**run.params, **run.how, **{f"flags.{name}": text for name, text in run.flags.items()}}
    tags = {_EXTERNAL: "true", RUN: run.key, **run.tags}
    name = _NOT_IN_MODELS.sub("_", run.name)[:LONGEST_NAME]
    return AgentVersion(name, {key: text[:_LONGEST_FLAG] for key, text in params.items()}, tags)


def yaml_tags(text: str) -> dict[str, str]:
    """An agent's file as a run's tags, each short enough for every database of MLflow's."""
    pieces = range(0, len(text), _LONGEST_PIECE)
    return {f"{YAML}.{number}": text[at : at + _LONGEST_PIECE] for number, at in enumerate(pieces)}


def yaml_of(tags: Mapping[str, str]) -> str:
    """The file that ``yaml_tags`` made tags of; "" where there is none."""
    return "".join(tags[key] for key in (f"{YAML}.{number}" for number in range(len(tags))) if key in tags)


def _digest(parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]


def _of_invocation(work: Work) -> Run:
    """The run of a graph call, or that of an agent inside it."""
    trace = f"trace/{work.line.trace}"
    told = {key: work.attributes.get(key) for key in (keys.OUTCOME, keys.OUTCOME_DETAIL, keys.SESSION, keys.USER)}
    labels = {f"label.{name}": value for name, value in (work.line.metrics or {}).items() if isinstance(value, str)}
    tags = {key: str(text)[:_LONGEST_TEXT] for key, text in {**told, **labels}.items() if text}
    return Run(
        trace if work.root else f"{trace}/{work.line.span}",
        str(work.attributes.get(keys.TRACE_NAME) or work.agent) if work.root else work.agent,
        work.start_ms,
        work.end_ms,
        # A graph call's run is in its trace's experiment.
        parent="" if work.root or work.invocation.experiment else trace,
        failed=work.failed,
        how=_how(work),
        params=_params(work),
        tags={**_tags(work), **tags, "tierlens.trace": mlflow_id(work.line.trace)},
    )


def _params(work: Work) -> dict[str, str]:
    told = {"agent": work.agent, "tier": work.tier, "version": work.invocation.version}
    return {name: text[:_LONGEST_TEXT] for name, text in told.items() if text}


def _how(work: Work) -> dict[str, str]:
    return {name: text[:_LONGEST_TEXT] for name, text in how(work).items()}


def _tags(work: Work) -> dict[str, str]:
    told = {MODE: work.invocation.runs, keys.AGENT: work.agent, keys.BRAND: work.line.brand, keys.TIER: work.tier}
    told[APP] = _application(work.line.resource)
    for name in work.line.metrics or ():
        told |= {f"metric.{metric_name(name)}.{key}": text for key, text in about(name, work.attributes).items()}
    return {name: text[:_LONGEST_TEXT] for name, text in told.items() if text}


@lru_cache(maxsize=256)
def _application(resource: bytes) -> str:
    """The application that a journal is of; "" where its resource does not say."""
    return str(attributes_of(orjson.loads(resource)).get("service.name", ""))


def _own(work: Work) -> dict[str, float]:
    """Custom metrics. A label counts as 1 below its name, so that sums over a run are counts; where a run is of one
    invocation, it is a tag alone, since MLflow takes tags back and metrics never."""
    found: dict[str, float] = {}
    for name, value in (work.line.metrics or {}).items():
        if not isinstance(value, str):
            found[metric_name(name)] = float(value)
        elif len(value) <= _LONGEST_LABEL and work.invocation.runs != "per_invocation":
            found[metric_name(f"{name}/{value}")] = 1.0
    return found
