"""config/ as frozen policies: the agents' files over the defaults of tierlens.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tierlens import presence
from tierlens.addresses import address_fault, shown
from tierlens.config.files import Parsed, parse
from tierlens.config.models import AgentFile, ApplicationFile, Flags, MetricFields, State, slower_than_s
from tierlens.config.prices import read_prices
from tierlens.errors import ConfigError
from tierlens.policy import AgentPolicy, Keep, MetricRule, Policies, StatePolicy
from tierlens.precedence import misplaced
from tierlens.settings import NOT_IN_YAML
from tierlens.yamlfile import dotted

APPLICATION_FILE: Final = "tierlens.yaml"
AGENTS_FOLDER: Final = "agents"


def read_policies(
    config_dir: Path, *, environment: str = "", experiment: str | None = None
) -> tuple[Policies, Sequence[ConfigError]]:
    """The policies and everything that is wrong; where anything is, the policies are not to be used."""
    try:
        paths = agent_files(config_dir)
    except ConfigError as error:
        return Policies(), [error]
    path = config_dir / APPLICATION_FILE
    application = (
        parse(path, ApplicationFile) if path.is_symlink() or presence.exists(path) else Parsed(None, ApplicationFile())
    )
    agents = [parse(path, AgentFile) for path in paths]
    errors = [*application.errors, *_misplaced(application), *_contradictions(application)]
    errors += [error for agent in agents for error in agent.errors]
    errors += _twice(agents)
    errors += read_prices(config_dir)[1]
    policies = _policies(application, [agent.model for agent in agents if agent.model], environment, experiment)
    texts = {agent.model.agent: agent.yaml.text for agent in agents if agent.model and agent.yaml}
    return replace(policies, files=texts), errors


def agent_files(config_dir: Path) -> Sequence[Path]:
    """The agents' files, by name.

    Raises:
        ConfigError: ``config_dir`` or its agents/ is no folder that can be listed.
    """
    folder = config_dir / AGENTS_FOLDER
    try:
        if not presence.is_dir(config_dir):
            raise ConfigError(str(config_dir), "", "this", "is not a folder")
        names = sorted(path.name for path in folder.iterdir()) if presence.exists(folder) else []
    except OSError as error:
        raise ConfigError(str(folder), "", "cannot be listed:", error.strerror or str(error)) from error
    return [folder / name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")]


def _misplaced(application: Parsed[ApplicationFile]) -> Iterator[ConfigError]:
    return misplaced(application.yaml, NOT_IN_YAML) if application.yaml else iter(())


def _contradictions(application: Parsed[ApplicationFile]) -> Iterator[ConfigError]:
    """What each key allows and the file as a whole does not."""
    yaml, model = application.yaml, application.model
    if yaml is None or model is None:
        return
    for index, brand in enumerate(model.brands):
        if brand in model.brands[:index]:
            yield ConfigError(yaml.where(("brands", index)), f"brands[{index}]", repr(brand), "is listed already")
    if _is_unlisted_default(model):
        there = f"is not one of the brands: {', '.join(model.brands)}; list it there too, or leave default_brand out"
        yield ConfigError(yaml.where(("default_brand",)), "default_brand", repr(model.default_brand), there)
    uri, where = model.settings.tracking_uri, ("settings", "tracking_uri")
    if fault := address_fault(uri):
        yield ConfigError(yaml.where(where), dotted(where), repr(shown(uri)), fault)
    if model.unknown_brand == "reject" and not model.brands:
        yield ConfigError(yaml.where(("unknown_brand",)), "unknown_brand", "reject", "needs brands: to be listed")


def _is_unlisted_default(model: ApplicationFile) -> bool:
    """Whether a default brand is given that is none of the brands."""
    if not model.brands or "default_brand" not in model.model_fields_set or model.default_brand in model.brands:
        return False
    # What holds where nothing is said may be said as well.
    return model.unknown_brand == "reject" or model.default_brand != ApplicationFile().default_brand


def _twice(agents: Sequence[Parsed[AgentFile]]) -> Iterator[ConfigError]:
    """Agents and nodes that more than one file claims."""
    owners: dict[str, str] = {}
    for parsed in agents:
        if parsed.yaml is None or parsed.model is None:
            continue
        claimed = {parsed.model.agent: "agent"}
        if parsed.model.node is not None:
            claimed.setdefault(parsed.model.node, "node")
        for name, key in claimed.items():
            where = parsed.yaml.where((key,))
            if name in owners:
                yield ConfigError(where, key, repr(name), f"is described in {owners[name]} already")
            owners.setdefault(name, where)


def _policies(
    application: Parsed[ApplicationFile],
    agents: Sequence[AgentFile],
    environment: str,
    experiment: str | None,
) -> Policies:
    model = application.model or ApplicationFile()
    defaults = _over(AgentPolicy(), model.defaults)
    if experiment:
        defaults = replace(defaults, experiment=experiment, configured_experiment=defaults.experiment)
    # What has no file has no configuration either, and so no versions of one; what has a file has runs of them.
    of_files = defaults if model.defaults.runs else replace(defaults, runs="per_version")
    return Policies(
        app=model.app,
        environment=environment or model.environment,
        brands=tuple(model.brands),
        unknown_brand=model.unknown_brand,
        default_brand=model.default_brand,
        trace_name=model.naming.trace,
        defaults=defaults,
        agents=_by_name(_agent(of_files, file) for file in agents),
        runnables=dict(model.runnables),
        question=model.question or "",
        answer=model.answer or "",
        source=application.yaml.where(("brands",)) if application.yaml else "",
    )


def _by_name(agents: Iterator[AgentPolicy]) -> Mapping[str, AgentPolicy]:
    return {name: agent for agent in agents for name in (agent.node, agent.agent)}


def _agent(base: AgentPolicy, file: AgentFile) -> AgentPolicy:
    return replace(_over(base, file), agent=file.agent, node=file.node or file.agent, tier=file.tier)


def _over(base: AgentPolicy, flags: Flags) -> AgentPolicy:
    """``base`` with what ``flags`` sets: values and lists replace, ``state`` and ``metrics`` merge by key."""
    given = flags.model_fields_set
    return replace(
        base,
        experiment=flags.mlflow_experiment or base.experiment,
        configured_experiment="" if flags.mlflow_experiment else base.configured_experiment,
        log_prompts=flags.log_prompts if "log_prompts" in given else base.log_prompts,
        log_artifacts=flags.log_artifacts if "log_artifacts" in given else base.log_artifacts,
        sample=flags.sample if "sample" in given else base.sample,
        keep=_keep(flags.keep) if "keep" in given else base.keep,
        state=_state(base.state, flags.state),
        redact=tuple(dict.fromkeys(flags.redact)) if "redact" in given else base.redact,
        metrics={**base.metrics, **{name: _metric(base.metrics, name, told) for name, told in flags.metrics.items()}},
        runs=flags.runs or base.runs,
        estimate_tokens=flags.estimate_tokens if "estimate_tokens" in given else base.estimate_tokens,
    )


def _metric(known: Mapping[str, MetricRule], name: str, told: MetricFields) -> MetricRule:
    base, given = known.get(name, MetricRule()), told.model_fields_set
    return MetricRule(
        told.path or "" if "path" in given else base.path,
        told.unit if "unit" in given else base.unit,
        told.direction or "" if "direction" in given else base.direction,
        told.min if "min" in given else base.low,
        told.max if "max" in given else base.high,
    )


def _keep(rules: Sequence[str]) -> Keep:
    limits = [limit for rule in rules if (limit := slower_than_s(rule)) is not None]
    return Keep(errors="error" in rules, slower_than_s=min(limits, default=None))


def _state(base: StatePolicy, state: State) -> StatePolicy:
    given = state.model_fields_set
    include = frozenset(state.include) if state.include is not None else None
    return StatePolicy(
        include=include if "include" in given else base.include,
        exclude=frozenset(state.exclude) if "exclude" in given else base.exclude,
        max_bytes=state.max_bytes if "max_bytes" in given else base.max_bytes,
    )
