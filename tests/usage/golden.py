"""The golden payloads: what providers and LangChain deliver, what it means in tokens, what it costs by which formula.

Their figures are worked out from what the provider billed and what it publishes, by none of our code. A case has

- ``via``: where the payload turns up; ``payload``: what turns up there; ``billed``: the provider's own counts, where
  LangChain has made others of them;
- ``usage``: the counts expected, MLflow's and the finer ones together; null where nothing was counted;
- ``formula``: USD, worked out; null where the call must not have a price; ``cost``: its result.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("golden")
_OPERATIONS: Final[Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One payload; see above."""

    case: str
    provider: str
    model: str
    at: str
    via: str
    payload: Any
    usage: Mapping[str, int] | None
    formula: str | None
    cost: float | None
    billed: Any = None
    note: str = ""

    @property
    def start_ns(self) -> int:
        return int(dt.datetime.fromisoformat(self.at).timestamp()) * 10**9


def cases() -> list[Case]:
    """All of them, file by file."""
    return [Case(**told) for path in sorted(FOLDER.glob("*.json")) for told in json.loads(path.read_bytes())]


def evaluated(formula: str) -> Decimal:
    """The result of a formula of numbers, ``+ - * /`` and brackets.

    Raises:
        ValueError: there is anything else in it.
    """
    return _value(ast.parse(formula, mode="eval").body, formula)


def _value(node: ast.expr, formula: str) -> Decimal:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Decimal(ast.get_source_segment(formula, node) or "")
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, formula), _value(node.right, formula))
    raise ValueError(f"{formula}: only numbers, + - * / and brackets are known")
