from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

import tierlens
from tests.privacy.places import Places
from tests.privacy.planted import OWN_RULE
from tierlens.capture.redaction import RULES
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import MessagesRequest, Reply, ToolCall

ALL_RULES = (*RULES, OWN_RULE)


def _echo(request: MessagesRequest) -> Reply:
    said = request.user_text
    return Reply(said, [ToolCall("look_up", {"about": said})], thinking=said)


@pytest.fixture(scope="module")
def claude() -> Iterator[anthropic.Anthropic]:
    with ClaudeEndpoint(responder=_echo) as endpoint:
        yield anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline", max_retries=0)


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    """An application that has every rule on."""
    folder = tmp_path / "config"
    folder.mkdir()
    rules = ", ".join(f"'{rule}'" for rule in ALL_RULES)
    (folder / "tierlens.yaml").write_text(f"app: private\ndefaults:\n  redact: [{rules}]\n")
    return folder


@pytest.fixture
def places(tmp_path: Path, config_dir: Path, claude: anthropic.Anthropic) -> Iterator[Callable[..., Places]]:
    """Starts tierlens in this process; it is stopped when the test has ended."""
    started: list[tierlens.Lens] = []

    def start(meanwhile: Callable[[], None] = lambda: None, **settings: Any) -> Places:
        lens = tierlens.init(config_dir=config_dir, journal_dir=tmp_path / "journal", **settings)
        started.append(lens)
        return Places(lens, claude, meanwhile)

    yield start
    for lens in started:
        lens.close(timeout_s=30)
