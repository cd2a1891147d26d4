from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import tierlens
from tierlens.config.schema import schemas

CHECKED_IN = Path(__file__).parents[2] / "config" / "schemas"


def test_the_schemas_that_are_checked_in_are_current() -> None:
    assert {path.name for path in CHECKED_IN.iterdir()} == set(schemas())
    for name, text in schemas().items():
        assert json.loads((CHECKED_IN / name).read_text()) == json.loads(text), "run `tierlens schema`"


def test_schemas_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    assert tierlens(tmp_path, "schema").code == 0
    assert tierlens(tmp_path, "schema", "elsewhere").code == 0

    for folder in ("config/schemas", "elsewhere"):
        assert json.loads((tmp_path / folder / "agent.json").read_text())["required"] == ["agent"]


def test_a_schema_lets_no_credential_into_a_file() -> None:
    settings = json.loads(schemas()["tierlens.json"])["$defs"]["Settings"]["properties"]

    assert "shipper" in settings
    assert not {"tracking_token", "tracking_password", "config_dir", "otlp_headers"} & settings.keys()
