"""A YAML file read with the line of every key, so that whoever refuses a value can say where it stands.

Only plain YAML passes: scalars, lists and mappings of the safe loader's own kinds. Size, depth and the number
of values after aliases are expanded are bounded, so a file of ten lines cannot fill the memory.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tierlens.errors import ConfigError

MAX_BYTES: Final = 1_000_000
MAX_VALUES: Final = 20_000
MAX_DEPTH: Final = 40

_SCALAR_TAGS: Final = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp")}

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a file says and where.

    Attributes:
        path: the path as it was given, for messages.
        data: the top-level mapping; {} for an empty file.
        lines: line (from 1) of each key and list item, by its location in ``data``.
        text: all of it, comments too.
    """

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[Location, int]
    text: str = ""

    def line(self, location: Location) -> int:
        """The line of a location, or of its nearest enclosing key."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def where(self, location: Location) -> str:
        """``path:line`` of a location."""
        return f"{self.path}:{self.line(location)}"


def read_yaml(path: Path) -> YamlFile:
    """Read one file.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, is not YAML, is too large, or has a key twice.
    """
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=_Bounded)
    except _TooMany as many:
        raise _too_many(path, many.line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}", "", "this", f"is not valid YAML: {error.problem or error}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}:{line}", "", f"character {_shown(error.character)}", "is not allowed") from error
    except RecursionError:
        raise _too_deep(path, 1) from None
    if root is None:
        return YamlFile(path, {}, {}, text)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:{_line(root)}", "", "this file", "is not a mapping of keys to values")
    reader = _Reader(path)
    return YamlFile(path, reader.mapping(root, ()), reader.lines, text)


def _text(path: Path) -> str:
    try:
        status = path.stat()
        # A FIFO or a device would block or never end.
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(str(path), "", "this", "is not a regular file")
        if status.st_size > MAX_BYTES:
            raise ConfigError(str(path), "", f"{status.st_size} bytes", f"are more than {MAX_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), "", "cannot be read:", error.strerror or str(error)) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x}"
        raise ConfigError(f"{path}:{line}", "", found, "is not UTF-8") from error


def _shown(character: int | str) -> str:
    return repr(chr(character) if isinstance(character, int) else character)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _too_deep(path: Path, line: int) -> ConfigError:
    return ConfigError(f"{path}:{line}", "", "this", f"is nested more than {MAX_DEPTH} deep")


def dotted(location: Location) -> str:
    """``("keep", 1)`` as ``keep[1]``, ``("state", "include")`` as ``state.include``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _too_many(path: Path, line: int) -> ConfigError:
    return ConfigError(f"{path}:{line}", "", "this file", f"has more than {MAX_VALUES} values")


class _TooMany(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


class _Bounded(yaml.SafeLoader):
    """Ends at as many nodes as a file may have: reading on would take seconds for what is refused in the end."""

    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > 2 * MAX_VALUES:
            raise _TooMany(self.line + 1)
        found: yaml.Node | None = super().compose_node(parent, index)
        return found


class _Reader:
    """Turns the node tree of one file into plain values, keeping the lines and counting what it makes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scalars = yaml.SafeLoader("")
        self._values = 0
        self.lines: dict[Location, int] = {}

    def mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        return dict(self._items(node, location))

    def _items(self, node: yaml.MappingNode, location: Location) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self._key(key_node, location)
            inner = (*location, key)
            if key in seen:
                where = f"{self._path}:{_line(key_node)}"
                raise ConfigError(where, dotted(inner), "this key", f"stands on line {self.lines[inner]} already")
            seen.add(key)
            self.lines[inner] = _line(key_node)
            yield key, self._value(value_node, inner)

    def _key(self, node: yaml.Node, location: Location) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(f"{self._path}:{_line(node)}", dotted(location), "a key", "is not plain text")
        return str(node.value)

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _too_many(self._path, _line(node))
        if len(location) > MAX_DEPTH:
            raise _too_deep(self._path, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node, location)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return self._sequence(node, location)
        return self._scalar(node, location)

    def _sequence(self, node: yaml.SequenceNode, location: Location) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.lines[*location, index] = _line(item)
            items.append(self._value(item, (*location, index)))
        return items

    def _scalar(self, node: yaml.Node, location: Location) -> Any:
        try:
            if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALAR_TAGS:
                raise ValueError(node.tag)
            return self._scalars.construct_object(node)
        # construct_object leaks whatever int(), float() and date() raise.
        except (yaml.YAMLError, ValueError, OverflowError, KeyError, IndexError, AttributeError) as error:
            where = f"{self._path}:{_line(node)}"
            kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
            raise ConfigError(where, dotted(location), f"this {kind}", "is not a plain YAML value") from error
