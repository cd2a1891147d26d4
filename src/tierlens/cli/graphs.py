"""The graph that a command is pointed to, as ``package.module:attribute`` or ``file.py:attribute``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from tierlens.errors import ConfigError
from tierlens.nearest import did_you_mean


@dataclass(frozen=True, slots=True)
class Graph:
    """What a configuration needs of a graph: its nodes, and the keys of its state."""

    nodes: Sequence[str]
    state_keys: Sequence[str]


def load_graph(target: str) -> Graph:
    """Import a graph, or have it made by a factory: a function of nothing or of a run config, async ones too.

    Raises:
        ConfigError: there is no such module or attribute, the module fails, or it is no graph.
    """
    place, _, attribute = target.rpartition(":")
    if not place or not attribute:
        raise ConfigError(target, "", "this", "is not MODULE:GRAPH, such as my_package.graph:graph or app.py:graph")
    module = _module(place)
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(target, "", attribute, f"is not in it{did_you_mean(attribute, names)}") from None
    if callable(found) and not hasattr(found, "nodes"):
        found = _imported(target, _made_by, found)
    nodes = getattr(found, "nodes", None)
    if not isinstance(nodes, dict):
        raise ConfigError(target, "", f"this {type(found).__name__}", "is not a graph: it has no nodes")
    return Graph([name for name in nodes if not name.startswith("__")], _state_keys(found))


def _module(place: str) -> Any:
    # As `python -m` does: what lies in the working directory can be imported.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return _imported(place, _from_file if place.endswith(".py") else importlib.import_module, place)


def _from_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModuleNotFoundError(f"no file {place}")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _made_by(factory: Any) -> Any:
    parameters = inspect.signature(factory).parameters.values()
    needed = [one for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    made = factory({}) if len(needed) == 1 else factory()
    return asyncio.run(_awaited(made)) if inspect.isawaitable(made) or hasattr(made, "__aenter__") else made


async def _awaited(made: Any) -> Any:
    if inspect.isawaitable(made):
        return await made
    async with made as entered:
        return entered


def _imported(where: str, make: Any, *arguments: Any) -> Any:
    try:
        return make(*arguments)
    # The module is the user's, and may raise anything; SystemExit too, where it runs a program.
    except (Exception, SystemExit) as error:
        raise ConfigError(where, "", f"{type(error).__name__}:", str(error)) from error


def _state_keys(graph: Any) -> Sequence[str]:
    """The state's keys; channels that LangGraph adds for itself have colons or begin with underscores."""
    channels = getattr(graph, "channels", {})
    nodes = getattr(graph, "nodes", {})
    return [name for name in channels if not name.startswith("__") and ":" not in name and name not in nodes]
