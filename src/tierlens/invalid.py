"""pydantic's errors in tierlens's words: what was found, and what was expected."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

_LONGEST: Final = 80

_EXPECTED: Final = {
    "missing": "is given; this key is required",
    "bool_type": "is not true or false",
    "bool_parsing": "is not true or false",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "string_type": "is not text; put it in quotes if it is meant to be",
    "string_too_short": "is empty",
    "list_type": "is not a list",
    "dict_type": "is not a mapping of keys to values",
    "model_type": "is not a mapping of keys to values",
    "path_type": "is not a path",
    "greater_than": "is not more than {gt:g}",
    "greater_than_equal": "is less than {ge:g}",
    "less_than_equal": "is more than {le:g}",
    "literal_error": "is not one of {expected}",
    "string_pattern_mismatch": "does not match {pattern}",
    "expected": "{text}",
}


def expected(text: str) -> WrapValidator:
    """An annotation: say ``text`` (``a share between 0 and 1``) of any value the type refuses."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise PydanticCustomError("expected", "{text}", {"text": f"is not {text}"}) from None

    return WrapValidator(check)


def explain(error: ErrorDetails, value: Any) -> tuple[str, str]:
    """What was found and what was expected."""
    if error["type"] == "missing":
        return "nothing", _EXPECTED["missing"]
    template = _EXPECTED.get(error["type"])
    text = template.format_map(error.get("ctx", {})) if template else f"is wrong: {error['msg']}"
    return as_yaml(value), text


def as_yaml(value: Any) -> str:
    """A value as it would stand in YAML, cut to one short line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int | float | dt.date):
        return str(value)
    text = repr(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
