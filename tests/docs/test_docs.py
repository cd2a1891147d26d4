"""Every command, program and file that the documentation shows, tried as a reader would."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import MARKS, PAGES, RUN, SHOWN, WRITTEN, Block, blocks, sections
from tierlens import config, settings
from tierlens.journal import codec
from tierlens.journal.cursor import Cursor
from tierlens.shipping.deadletter import Letter

BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*languages: str) -> list[object]:
    return [pytest.param(block, id=block.where) for block in BLOCKS if block.language in languages]


def name(section: Sequence[Block]) -> str:
    return f"{section[0].page.name}: {section[0].section}"


@pytest.mark.server
@pytest.mark.parametrize("section", sections(), ids=name)
def test_what_a_section_says_can_be_done(section: Sequence[Block], follow):
    done = follow(section)
    assert done.returncode == 0, f"{done.stderr[-4000:]}\n{done.stdout[-2000:]}"
    assert "failed and was skipped" not in done.stderr, done.stderr


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_every_block_is_of_a_kind_that_is_run_or_shown_and_skipped_only_with_a_reason(block: Block):
    assert block.language in RUN | WRITTEN | SHOWN, f"{block.where}: give the block a language"
    assert block.marks.keys() <= MARKS
    assert block.marks.get("not run", "with a reason"), "say why the block is not run"


@pytest.mark.parametrize("block", of("python"))
def test_python_is_python_also_where_it_is_not_run(block: Block):
    ast.parse(block.text, block.where)


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_a_file_that_tierlens_takes(block: Block, tmp_path: Path):
    if "not run" in block.marks:
        list(yaml.safe_load_all(block.text))
        return
    assert block.file, f"{block.where}: name the file in a comment on the first line"
    path = tmp_path / block.file
    path.parent.mkdir(parents=True)
    path.write_text(block.text, encoding="utf-8")
    assert path.parts[len(tmp_path.parts)] == "config"
    assert [str(error) for error in config.check(tmp_path / "config")] == []


@pytest.mark.parametrize("block", of("dotenv"))
def test_env_files_set_variables_that_there_are(block: Block, tmp_path: Path):
    path = tmp_path / ".env"
    path.write_text(block.text, encoding="utf-8")
    known = {settings.variable(field) for field in settings.Settings.model_fields}
    named = {line.partition("=")[0] for line in block.text.splitlines() if line and not line.startswith("#")}
    assert named <= known
    settings.load(environ={"TIERLENS_CONFIG_DIR": str(tmp_path)}, env_file=path)


@pytest.mark.parametrize("block", of("json"))
def test_json_is_json(block: Block):
    json.loads(block.text)


def test_the_journal_line_in_the_format_is_one_that_the_code_reads_and_writes():
    (shown,) = [block.text for block in BLOCKS if block.language == "json" and '"resourceSpans"' in block.text]
    raw = "".join(line.lstrip() for line in shown.splitlines()).encode()
    line = codec.decode(raw)
    assert codec.encode_line(line) == raw + b"\n"
    assert line.root
    assert line.metrics == {"causal_confidence": 0.83}


def test_the_records_beside_the_journal_have_the_fields_that_the_code_writes():
    shown = [json.loads(block.text) for block in BLOCKS if block.language == "json"]
    cursor, letter = ({field.name for field in dataclasses.fields(kind)} for kind in (Cursor, Letter))
    bare = [found.keys() - {"v", "crc"} for found in shown]
    assert [keys for keys in bare if keys in (cursor, letter)] == [cursor, letter]
