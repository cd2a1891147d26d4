"""What a shipping process writes down is said again by one process that it ships for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierlens.journal.segment import SHIP_LOG
from tierlens.shipping.hosts.relay import Relay


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def write(directory: Path, text: str) -> None:
    with (directory / SHIP_LOG).open("a") as log:
        log.write(text)


def test_what_was_there_before_is_not_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "long ago\n")
    relay = Relay(tmp_path)
    relay.pass_on()
    write(tmp_path, "2026-11-21 05:30:01,123 the sink is unavailable\n")

    relay.pass_on()
    relay.pass_on()

    assert said(caplog) == ["the sink is unavailable"]


def test_of_several_processes_one_says_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Relay(tmp_path), Relay(tmp_path)
    first.pass_on()
    second.pass_on()
    write(tmp_path, "one\n")
    first.pass_on()
    second.pass_on()
    assert said(caplog) == ["one"]

    first.drop()
    second.pass_on()
    write(tmp_path, "two\n")
    second.pass_on()

    assert said(caplog) == ["two"]


def test_the_log_does_not_grow_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay(tmp_path)
    relay.pass_on()
    write(tmp_path, "x" * (5 << 20))

    relay.pass_on()

    assert (tmp_path / SHIP_LOG).stat().st_size == 0
    write(tmp_path, "new\n")
    relay.pass_on()
    assert said(caplog) == ["new"]


def test_a_missing_folder_is_nothing_to_talk_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Relay(tmp_path / "missing").pass_on()

    assert said(caplog) == []
