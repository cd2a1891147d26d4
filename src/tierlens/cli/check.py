"""``tierlens check``: all that is wrong in config/, at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from tierlens import config, presence, settings
from tierlens.cli.output import AsJson, ConfigDir, counted, plain, print_json, print_table
from tierlens.errors import ConfigError, SettingsError
from tierlens.policy import AgentPolicy, Policies
from tierlens.precedence import DEFAULT_CONFIG_DIR


def check(config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """Validate all files in config/.

    Every error is listed, with its path, line, key, what was found and what was expected; the exit code is 1
    if there is any. Without errors, the agents and the experiment of each brand are shown. Files that look like
    an agent's and lie where none is read are warned of.

    Examples:

      tierlens check

      tierlens check --config-dir examples/config --json
    """
    folder, policies, errors = _read(config_dir)
    unread = config.unread(folder)
    if as_json:
        print_json({**_as_json(folder, policies, errors), "unread": [stray.where for stray in unread]})
    elif errors:
        for error in errors:
            typer.echo(plain(str(error)))
        typer.echo(f"{counted(len(errors), 'error')} in {folder}", err=True)
    else:
        _show(folder, policies)
    for stray in () if as_json else unread:
        typer.echo(f"warning: {plain(str(stray))}", err=True)
    if errors:
        raise typer.Exit(1)


def _read(config_dir: Path | None) -> tuple[Path, Policies, Sequence[ConfigError]]:
    try:
        found = settings.load(config_dir=config_dir)
    except ConfigError as error:
        return _refused(config_dir, error)
    folder = found.config_dir
    if errors := config.check(folder) if presence.exists(folder) else ():
        return folder, Policies(), errors
    policies = config.load_policies(folder, environment=found.environment, experiment=found.mlflow_experiment)
    return folder, policies, ()


def _refused(config_dir: Path | None, error: ConfigError) -> tuple[Path, Policies, Sequence[ConfigError]]:
    """What keeps the settings from being read, and whatever is wrong in the folder beside it."""
    if error.where == "keyword config_dir":
        error = SettingsError("--config-dir", "", error.found, error.expected)
    try:
        folder = config_dir or settings.config_dir()
    except ConfigError:
        folder = Path(DEFAULT_CONFIG_DIR)
    listed = config.check(folder) if presence.exists(folder) else ()
    known = {str(other) for other in listed}
    return folder, Policies(), [*listed, *([] if str(error) in known else [error])]


def summary(policies: Policies) -> str:
    """How much is configured: ``11 agents, 3 brands``."""
    brands = counted(len(policies.brands), "brand") if policies.brands else "all brands"
    return f"{counted(len(_agents(policies)), 'agent')}, {brands}"


def _agents(policies: Policies) -> Sequence[AgentPolicy]:
    """Each agent once; the mapping has it by node and by name."""
    return list({agent.agent: agent for agent in policies.agents.values()}.values())


def _show(folder: Path, policies: Policies) -> None:
    if not presence.exists(folder):
        typer.echo(f"{folder}: no such folder; defaults hold, and every brand is allowed")
        return
    print_table(("agent", "tier", "log_prompts", "sample", "redact", "metrics"), map(_row, _agents(policies)))
    brands = policies.brands or (policies.default_brand,)
    print_table(("brand", "experiment"), [(brand, policies.experiment(brand)) for brand in brands])
    typer.echo(f"{folder}: ok, {summary(policies)}")


def _row(agent: AgentPolicy) -> Sequence[object]:
    name = agent.agent if agent.node == agent.agent else f"{agent.agent} (node {agent.node})"
    tier = "" if agent.tier is None else agent.tier
    return name, tier, agent.log_prompts, agent.sample, " ".join(agent.redact), " ".join(agent.metrics)


def _as_json(folder: Path, policies: Policies, errors: Sequence[ConfigError]) -> dict[str, Any]:
    return {
        "ok": not errors,
        "config_dir": folder,
        "errors": [
            {"where": e.where, "key": e.key, "found": e.found, "expected": e.expected, "message": str(e)}
            for e in errors
        ],
        "agents": [agent.agent for agent in _agents(policies)],
        "experiments": {brand: policies.experiment(brand) for brand in policies.brands},
    }
