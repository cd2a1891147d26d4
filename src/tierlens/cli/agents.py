"""``tierlens agents``: which configurations of agents ran, how they differ, and going back to one."""

from __future__ import annotations

import datetime as dt
import difflib
import getpass
import os
from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tierlens.addresses import shown
from tierlens.cli.current import Current, current, whole
from tierlens.cli.output import AsJson, ConfigDir, group, moment, plain, print_json, print_table
from tierlens.cli.versions import Version, Versions
from tierlens.errors import TierlensError
from tierlens.policy import Policies

agents: Final = group(
    """List, compare and restore versions of agents' configurations.

    Each that ran has a run, and an agent version, in MLflow. Those of other applications there, by the `app` of
    config/tierlens.yaml, are left alone.

    Examples:

      tierlens agents list

      tierlens agents diff causal_impact b41939

      tierlens agents rollback causal_impact b41939
    """
)

Agent = Annotated[str, typer.Argument(help="The agent's name.")]
_HERE: Final = "config"
_KEPT: Final = "versions are kept of agents with `runs: per_version` only"


@agents.command("list")
def list_agents(config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """List the agents that ran: the version of each that ran last, and whether it is the one in config/.

    Versions are kept of agents with `runs: per_version`; those of config/ with other runs are named on stderr.

    Examples:

      tierlens agents list

      tierlens agents list --json
    """
    now = current(config_dir)
    found = Versions(now.settings, now.policies.app).all()
    latest = {version.agent: version for version in reversed(found)}
    counts = {agent: sum(version.agent == agent for version in found) for agent in latest}
    _say_others(now.policies, latest)
    if as_json:
        print_json([_facts(latest[agent], now) | {"versions": counts[agent]} for agent in sorted(latest)])
        return
    if not latest:
        where = shown(now.settings.tracking_uri)
        typer.echo(f"No agent of {now.policies.app} has a version in {where} yet; {_KEPT}.")
        return
    rows = [(*_cells(latest[agent], now), counts[agent]) for agent in sorted(latest)]
    print_table(("agent", "tier", "version", "in config/", "brands", "models", "last ran (UTC)", "versions"), rows)


@agents.command()
def history(agent: Agent, config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """List the versions of one agent, that which ran last first.

    Examples:

      tierlens agents history causal_impact

      tierlens agents history causal_impact --json
    """
    now = current(config_dir)
    found = _versions(Versions(now.settings, now.policies.app), now.policies, agent)
    if as_json:
        print_json([_facts(version, now) for version in found])
        return
    rows = [
        (
            version.version,
            _in_config(version, now),
            ", ".join(version.brands),
            ", ".join(version.asked),
            moment(version.first_ms),
            moment(version.last_ms),
            "; ".join(version.restored),
        )
        for version in found
    ]
    print_table(("version", "in config/", "brands", "models", "first ran (UTC)", "last ran", "rolled back to"), rows)


@agents.command()
def diff(
    agent: Agent,
    old: Annotated[str, typer.Argument(help="A version, or the beginning of one; config for the file as it is.")],
    new: Annotated[str, typer.Argument(help="The same.")] = _HERE,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how an agent's file differs between two versions.

    Examples:

      tierlens agents diff causal_impact b41939

      tierlens agents diff causal_impact b41939 7d02aa
    """
    now = whole(config_dir)
    found = _versions(Versions(now.settings, now.policies.app), now.policies, agent)
    before, after = (_text(now.policies, found, agent, name).splitlines() for name in (old, new))
    lines = list(difflib.unified_diff(before, after, f"{agent} {old}", f"{agent} {new}", lineterm=""))
    if as_json:
        print_json({"agent": agent, "old": old, "new": new, "diff": lines})
        return
    typer.echo("\n".join(plain(line) for line in lines) if lines else f"{agent}: {old} and {new} are the same file.")


@agents.command()
def rollback(
    agent: Agent,
    version: Annotated[str, typer.Argument(help="The version to go back to, or the beginning of it.")],
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Put an agent's file back as it stood in a version, and say so in its history.

    The file that is replaced, which may be broken, stays beside it, as <its name>.bak. Running processes go on
    with what they have read: start them anew.

    Examples:

      tierlens agents rollback causal_impact b41939
    """
    now = current(config_dir)
    versions = Versions(now.settings, now.policies.app)
    found = _versions(versions, now.policies, agent)
    wanted = _named(found, agent, version)
    text = _yaml(wanted)
    path = now.file(agent)
    note = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} by {getpass.getuser()}"
    _replace(path, text)
    versions.note_restored(wanted, note)
    restored = current(config_dir).version(agent)
    if as_json:
        print_json({"agent": agent, "file": path, "version": restored, "as_wanted": restored == wanted.version})
        return
    typer.echo(f"{path} is as it stood in {wanted.version}. Start running processes anew.")
    if not restored:
        typer.echo("It is not valid any more: `tierlens check` says why.")
    elif restored != wanted.version:
        typer.echo(f"With the defaults of today it is version {restored}: what `defaults:` gives has changed since.")


def _versions(versions: Versions, policies: Policies, agent: str) -> list[Version]:
    found = versions.all(agent) if agent else []
    if found:
        return found
    if kind := _other_runs(policies).get(agent):
        raise TierlensError(f"no version of an agent {agent!r} is there: it has `runs: {kind}`, and {_KEPT}")
    raise TierlensError(f"no run of an agent {agent!r} is there; `tierlens agents list` shows those there are")


def _other_runs(policies: Policies) -> dict[str, str]:
    """Of agents that have no runs by version, what they have."""
    return {one.agent: one.runs for one in policies.agents.values() if one.runs != "per_version"}


def _say_others(policies: Policies, listed: Container[str]) -> None:
    others = [f"{agent} ({kind})" for agent, kind in sorted(_other_runs(policies).items()) if agent not in listed]
    if others:
        typer.echo(plain(f"Not listed, since {_KEPT}: {', '.join(others)}"), err=True)


def _named(found: list[Version], agent: str, name: str) -> Version:
    matching = [version for version in found if name and version.version.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    there = ", ".join(version.version for version in found)
    wrong = "is the beginning of several versions" if matching else "is no version that ran"
    raise TierlensError(f"{name!r} {wrong} of {agent}; there are {there}")


def _text(policies: Policies, found: list[Version], agent: str, name: str) -> str:
    return policies.files.get(agent, "") if name == _HERE else _yaml(_named(found, agent, name))


def _yaml(version: Version) -> str:
    if not version.yaml:
        raise TierlensError(f"{version.agent} had no file of its own in {version.version}: there is no text of it")
    return version.yaml


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else None
    if before == text.encode():
        # A second rollback would put this very text in the place of what the first one replaced.
        return
    if before is not None:
        path.with_name(f"{path.name}.bak").write_bytes(before)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _in_config(version: Version, now: Current) -> str:
    if version.agent in now.broken:
        return "broken"
    return "yes" if now.version(version.agent) == version.version else "no"


def _cells(version: Version, now: Current) -> tuple[object, ...]:
    return (
        version.agent,
        version.tier,
        version.version,
        _in_config(version, now),
        ", ".join(version.brands),
        ", ".join(version.asked),
        moment(version.last_ms),
    )


def _facts(version: Version, now: Current) -> dict[str, Any]:
    return asdict(version) | {"in_config": _in_config(version, now) == "yes"}
