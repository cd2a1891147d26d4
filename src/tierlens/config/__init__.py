"""The files in config/ read into frozen policies.

``tierlens.yaml`` describes the application, ``agents/*.yaml`` one agent each. A folder that is not there
means defaults, and every brand allowed: only the default one gets here missing, see `tierlens.settings.load`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from tierlens import presence
from tierlens.errors import ConfigError
from tierlens.policy import AgentPolicy, Policies


def load_policies(config_dir: Path | str, *, environment: str = "", experiment: str | None = None) -> Policies:
    """Read the folder.

    Args:
        environment: the deployment, over what the file says.
        experiment: template of experiment names, over what the file says.

    Raises:
        ConfigError: the first things that are wrong; `check` lists them all.
    """
    folder = Path(config_dir)
    if not _is_there(folder):
        defaults = AgentPolicy(experiment=experiment) if experiment else AgentPolicy()
        return Policies(environment=environment, defaults=defaults)
    # YAML and the models take 50 ms to import, and a process without a config folder needs neither.
    from tierlens.config.read import read_policies

    policies, errors = read_policies(folder, environment=environment, experiment=experiment)
    if errors:
        raise _first(errors)
    return policies


def _is_there(folder: Path) -> bool:
    try:
        return presence.exists(folder)
    except OSError as error:
        # A folder that this user may not look into may say what must not be recorded.
        raise ConfigError(str(folder), "", "cannot be looked at:", error.strerror or str(error)) from error


def _first(errors: Sequence[ConfigError]) -> ConfigError:
    first, *others = errors
    if not others:
        return first
    # The second may well be the reason: of a name that is misspelt, the first is that it is missing.
    more = f" (and {len(others)} more: {others[0]}; `tierlens check` lists all)"
    return ConfigError(first.where, first.key, first.found, f"{first.expected}{more}")


def unread(config_dir: Path | str) -> Sequence[ConfigError]:
    """Files in the folder that look as if they were to be read, and are not; none where it cannot be listed."""
    folder = Path(config_dir)
    with contextlib.suppress(OSError, ConfigError):
        if presence.is_dir(folder):
            from tierlens.config.read import agent_files
            from tierlens.config.strays import unread_files

            return list(unread_files(folder, set(agent_files(folder))))
    return ()


def check(config_dir: Path | str) -> Sequence[ConfigError]:
    """Everything that is wrong in the folder, file by file."""
    from tierlens.config.read import read_policies

    return read_policies(Path(config_dir))[1]
