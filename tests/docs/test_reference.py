"""Tables, names and links in the documentation agree with the code."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import tierlens
from tests.docs.pages import PAGES, ROOT, prose, table
from tierlens import keys
from tierlens.cli import COMMANDS
from tierlens.config.models import AgentFile, ApplicationFile, Flags, Naming, State
from tierlens.projection.instruments import OBSERVED, RECORDED
from tierlens.settings import NOT_IN_YAML, Settings, variable

SETUP = ROOT / "docs" / "setup.md"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def shown(value: Any) -> str:
    """A default as the tables have it."""
    if value is None or value == "" or isinstance(value, BaseModel):
        return ""
    if isinstance(value, Path):
        value = os.path.relpath(value, Path.cwd()) if value.is_absolute() else value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ([], {}) else f"`{value}`"


def default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.default_factory is not None:
        return "see right"
    return "required" if field.default is PydanticUndefined else shown(field.default)


def described(model: type[BaseModel], *without: str) -> list[list[str]]:
    """Key, default and description of each field."""
    return [
        [f"`{name}`", default(model, name), str(field.description)]
        for name, field in model.model_fields.items()
        if name not in without
    ]


def test_the_settings_table_has_every_setting_as_the_code_has_it():
    rows = [
        [f"`{name}`", f"`{variable(name)}`", "no" if name in NOT_IN_YAML else "yes", given, text]
        for (_, given, text), name in zip(described(Settings), Settings.model_fields, strict=True)
    ]
    assert table(SETUP, "### All settings") == rows


@pytest.mark.parametrize(
    ("heading", "rows"),
    [
        ("### The agent's own keys", described(AgentFile, *Flags.model_fields)),
        ("### Flags", described(Flags, "state") + [[f"`state.{r[0][1:]}", *r[1:]] for r in described(State)]),
        (
            "### The application's keys",
            described(ApplicationFile, "naming", "defaults", "settings")
            + [[f"`naming.{r[0][1:]}", *r[1:]] for r in described(Naming)],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_tables_of_keys_have_every_key_as_the_code_has_it(heading: str, rows: list[list[str]]):
    assert table(SETUP, heading) == rows


def test_the_table_of_commands_has_every_command():
    rows = [[f"`tierlens {name}`", summary] for name, (_, _, summary) in COMMANDS.items()]
    assert table(SETUP, "## Commands") == rows


def test_every_public_name_is_described():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in tierlens.__all__ if name not in text and not name.startswith("__")] == []


@each_page
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target} is not there"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target} has no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_names_in_the_text_are_names_in_the_code(page: Path):
    for code in CODE.findall(prose(page)):
        found = re.fullmatch(r"@?(tierlens(?:\.\w+)+)(?:\(.*\))?", code)
        if found and not code.endswith((".yaml", ".json")):
            assert resolves(found[1]), f"{page.name}: there is no {found[1]}"


def resolves(name: str) -> bool:
    if name in vars(keys).values() or name in RECORDED or name in OBSERVED:
        return True
    here: Any = tierlens
    for depth, part in enumerate(name.split(".")[1:], 2):
        if not hasattr(here, part):
            try:
                importlib.import_module(".".join(name.split(".")[:depth]))
            except ImportError:
                return False
        here = getattr(here, part)
    return True


@each_page
def test_commands_and_variables_in_the_text_are_there(page: Path):
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`tierlens (\w+)", text)) <= COMMANDS.keys()
    assert set(re.findall(r"TIERLENS_[A-Z_]*[A-Z]", text)) <= {variable(name) for name in Settings.model_fields}
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(targets)


@each_page
def test_pages_name_nobodys_machine(page: Path):
    assert not re.search(r"/(?:home|Users|work)/", page.read_text(encoding="utf-8"))
