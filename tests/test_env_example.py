""".env.example names what there is, no more and no less."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from tierlens.settings import Settings, load, variable

EXAMPLE = Path(__file__).parents[1] / ".env.example"
NOT_OURS = {"ANTHROPIC_API_KEY"}


def test_it_names_every_setting_and_nothing_else() -> None:
    named = re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)

    assert len(named) == len(set(named))
    assert set(named) - NOT_OURS == {variable(field) for field in Settings.model_fields}


def test_each_variable_has_a_comment_of_one_line() -> None:
    lines = EXAMPLE.read_text().splitlines()

    for above, line in itertools.pairwise(lines):
        if re.match(r"#[A-Z_]+=", line):
            assert above.startswith("# "), line


def test_it_is_a_valid_env_file_once_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(text)

    loaded = load(environ={}, env_file=tmp_path / ".env")

    assert loaded.tracking_uri == "http://localhost:5000"
    assert loaded.mlflow_experiment == "{app}/{brand}"
    assert loaded.enabled
