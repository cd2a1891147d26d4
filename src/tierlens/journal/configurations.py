"""Agents' configurations by version, for whoever ships and has no config folder.

``configurations/<version>.json``: ``{"v":1,"agent":"…","flags":{…},"yaml":"…"}``, written once and never changed;
``yaml`` is the agent's file as it stood, "" where it has none. They are few and small, and stay.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tierlens.journal.segment import create_directory

CONFIGURATIONS: Final = "configurations"


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
    create_directory(path.parent)
    temporary = path.with_name(f".{version}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    told = {"v": 1, "agent": configuration.agent, "flags": configuration.flags, "yaml": configuration.yaml}
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(orjson.dumps(told))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
