"""What other processes have journalled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from tierlens.errors import DamagedLine
from tierlens.journal.codec import Line, decode


def lines(folder: Path) -> Iterator[Line]:
    """The finished spans in a journal's segments."""
    for segment in sorted(path for path in folder.rglob("*") if path.is_file()):
        for raw in segment.read_bytes().splitlines():
            with contextlib.suppress(DamagedLine):
                if (line := decode(raw)).kind == "span":
                    yield line


def attributes(line: Line) -> dict[str, Any]:
    span = orjson.loads(line.payload)
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}
