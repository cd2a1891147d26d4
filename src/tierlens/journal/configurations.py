"""Agents' configurations by version, for whoever ships and has no config folder.

``configurations/<version>.json``: ``{"v":1,"agent":"…","flags":{…},"yaml":"…"}``, written once and never changed;
``yaml`` is the agent's file as it stood, "" where it has none. They are few and small, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tierlens.journal.segment import CONFIGURATIONS, write_whole


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a version stands for.

    Attributes:
        flags: all of them, those that come from the defaults too.
        yaml: the text of the agent's file.
    """

    agent: str
    flags: Mapping[str, Any]
    yaml: str


def store_configuration(directory: Path, version: str, configuration: Configuration) -> None:
    """Write it, unless it is there.

    Raises:
        OSError: the journal cannot be written.
    """
    path = _path(directory, version)
    if path.exists():
        return
    told = {"v": 1, "agent": configuration.agent, "flags": configuration.flags, "yaml": configuration.yaml}
    write_whole(path, orjson.dumps(told))


def read_configuration(directory: Path, version: str) -> Configuration | None:
    """What was stored for a version, if it can be read."""
    try:
        told = orjson.loads(_path(directory, version).read_bytes())
        return Configuration(str(told["agent"]), dict(told["flags"]), str(told["yaml"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(directory: Path, version: str) -> Path:
    # A version comes from a journal's line: it must not name another file.
    return directory / CONFIGURATIONS / f"{Path(version).name or '_'}.json"
