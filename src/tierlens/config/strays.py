"""YAML files in config/ that look like ours and that nothing reads: a flag in one, log_prompts say, would not hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tierlens.errors import ConfigError

_YAML: Final = (".yaml", ".yml")
_AGENT: Final = re.compile(r"^agent[ \t]*:", re.MULTILINE)
_MOST: Final = 1_000
_LONGEST: Final = 64 * 1024


def unread_files(config_dir: Path, read: Collection[Path]) -> Iterator[ConfigError]:
    """What is wrong with the place or the name of each file that speaks of an agent, or has one of our names, but is
    none of those that are ``read``."""
    with suppress(OSError):
        for path in sorted(_files(config_dir)):
            if path in read:
                continue
            if path.parent == config_dir and path.stem in ("tierlens", "prices") and path.suffix == ".yml":
                yield ConfigError(str(path), "", "this file", f"is not read; call it {path.stem}.yaml")
            elif _is_an_agents(path):
                where = config_dir / "agents"
                yield ConfigError(str(path), "", "this file", f"is not read; those of agents are {where}/<agent>.yaml")


def _files(config_dir: Path) -> list[Path]:
    """YAML files in the folder and in those right below it and below agents/."""
    found: list[Path] = []
    for pattern in ("*", "*/*", "agents/*/*"):
        found += [path for path in config_dir.glob(pattern) if path.suffix.lower() in _YAML and path.is_file()]
        if len(found) > _MOST:
            return []
    return found


def _is_an_agents(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return _AGENT.search(file.read(_LONGEST)) is not None
    except (OSError, UnicodeDecodeError):
        return False
