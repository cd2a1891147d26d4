"""The configuration as it is now, as far as it can be read: a broken file is what a rollback is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tierlens import config, presence, settings
from tierlens.config.files import parse
from tierlens.config.models import AgentFile
from tierlens.config.read import AGENTS_FOLDER, agent_files, read_policies
from tierlens.policy import Policies
from tierlens.settings import Settings

_LINE: Final = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Current:
    """The settings, and the policies of config/.

    Attributes:
        broken: agents whose files cannot be read, by the files' names; the policies are without them.
    """

    settings: Settings
    policies: Policies
    broken: frozenset[str] = frozenset()

    def file(self, agent: str) -> Path:
        """The file that describes an agent, whatever it is called; where there is none, the one that would."""
        folder = self.settings.config_dir / AGENTS_FOLDER
        paths = agent_files(self.settings.config_dir) if presence.exists(folder) else ()
        said = ((path, parse(path, AgentFile).model) for path in paths)
        named = (path for path, model in said if model is not None and model.agent == agent)
        return next(named, None) or next((path for path in paths if path.stem == agent), folder / f"{agent}.yaml")

    def version(self, agent: str) -> str:
        """The version that an agent would run with; "" where its file is broken."""
        if agent in self.broken:
            return ""
        # An agent without a file of its own has the defaults'.
        return self.policies.agents.get(agent, self.policies.defaults).version


def current(config_dir: Path | None) -> Current:
    """What the settings and the folder say.

    Raises:
        ConfigError: something else than an agent's file is not what it should be.
    """
    loaded = settings.load(config_dir=config_dir)
    if not presence.exists(loaded.config_dir):
        return Current(loaded, _policies(loaded))
    policies, errors = read_policies(
        loaded.config_dir, environment=loaded.environment, experiment=loaded.mlflow_experiment
    )
    broken = set()
    for error in errors:
        path = Path(_LINE.sub("", error.where))
        if path.parent != loaded.config_dir / AGENTS_FOLDER:
            raise error
        broken.add(path.stem)
    return Current(loaded, policies, frozenset(broken))


def whole(config_dir: Path | None) -> Current:
    """The same of a folder that is right as a whole.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    loaded = settings.load(config_dir=config_dir)
    return Current(loaded, _policies(loaded))


def _policies(loaded: Settings) -> Policies:
    return config.load_policies(loaded.config_dir, environment=loaded.environment, experiment=loaded.mlflow_experiment)
