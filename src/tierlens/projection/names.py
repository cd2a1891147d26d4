"""Names as MLflow takes them."""

from __future__ import annotations

import re
from typing import Final

LONGEST_NAME: Final = 250

_NOT_IN_NAMES: Final = re.compile(r"[^\w.\- :/]")


def metric_name(name: str) -> str:
    """A name that MLflow takes for a metric or param: letters, digits, ``_ - . : /`` and spaces, at most 250
    characters."""
    parts = [part for part in _NOT_IN_NAMES.sub("_", name).split("/") if part.strip(". ")]
    return "/".join(parts)[:LONGEST_NAME] or "_"
