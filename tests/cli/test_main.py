"""The command as a whole: help, version, usage errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import tierlens
from tierlens.cli import COMMANDS, command


def test_help_lists_every_command(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "--help")

    assert ran.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in ran.out] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    assert command(name).help.startswith(COMMANDS[name][2])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples(name: str) -> None:
    assert f"tierlens {name}" in command(name).help.partition("Examples:")[2]


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys, tierlens; before = set(sys.modules)\n"
        "from tierlens.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('httpx', 'yaml', 'mlflow', 'langgraph', 'pydantic_settings', 'tierlens.cli.up')\n"
        "print([name for name in heavy if name in sys.modules.keys() - before])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.splitlines()[-1] == "[]"


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert tierlens(tmp_path, "--version").out.startswith("tierlens 0.")


def test_an_unknown_command_is_bad_usage(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "chek")

    assert ran.code == 2
    assert "No such command 'chek'. Did you mean 'check'" in ran.err


def test_a_value_that_is_none_of_the_choices_is_named_with_those_there_are(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "costs", "--by", "agents")

    assert ran.code == 2
    assert "Invalid value for '--by': 'agents' is not one of 'call', 'agent', " in ran.err


def test_bad_settings_end_in_one_line_and_not_in_a_traceback(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "ship", "--once", TIERLENS_SHIPPER="tread")

    assert ran.code == 2
    assert ran.err == (
        "tierlens: environment: TIERLENS_SHIPPER: 'tread' is not one of 'thread', 'process' or 'external'\n"
    )
