"""JSON Schemas of the files in config/, for editors; they are generated into config/schemas/ and checked in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tierlens.config.models import AgentFile, ApplicationFile
from tierlens.config.price_models import PricesFile
from tierlens.settings import NOT_IN_YAML

SCHEMAS_FOLDER: Final = "schemas"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, str]:
    """The schemas' text by file name: ``tierlens.json``, ``agent.json`` and ``prices.json``."""
    application = ApplicationFile.model_json_schema()
    for name in NOT_IN_YAML:
        del application["$defs"]["Settings"]["properties"][name]
    # The journal's default is made absolute, and a schema must not name one machine's folders.
    del application["properties"]["settings"]["default"]
    return {
        "tierlens.json": _text(application),
        "agent.json": _text(AgentFile.model_json_schema()),
        "prices.json": _text(PricesFile.model_json_schema()),
    }


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps({"$schema": _DIALECT, **_without_titles(schema)}, indent=2, ensure_ascii=False) + "\n"


def _without_titles(schema: Any) -> Any:
    """Editors show titles in place of descriptions, and pydantic's titles only repeat the keys."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }
