"""Runs the application, with one callback a question, and delivers what it recorded."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

import tierlens
from examples.brand_analytics.app import run
from examples.brand_analytics.claude import claude
from examples.brand_analytics.graph import build
from examples.brand_analytics.questions import QUESTIONS, Question
from tierlens.shipping import FlushReport

from .figures import Tokens, ledger_tokens

CONFIG: Final = Path(__file__).parents[2] / "config"
RUN_TAG: Final = "demo_run"
DELIVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """Attributes:
    claude: which Claude answered, in words.
    report: what became of the spans.
    ledger: what the offline endpoint has billed; None for the real Claude.
    """

    claude: str
    report: FlushReport
    ledger: Tokens | None


def new_run(now: Callable[[], dt.datetime] = dt.datetime.now) -> str:
    """A name for one run of the demo, which all its traces are tagged with."""
    return f"{now():%Y%m%d-%H%M%S}"


def of_run(run: str, questions: Sequence[Question] = QUESTIONS) -> list[Question]:
    """The questions, in conversations of this run: the next run begins new ones."""
    return [replace(question, thread=f"{question.thread}-{run}") for question in questions]


def record(
    questions: Sequence[Question], *, uri: str, data: Path, name: str, on_answer: Callable[[], None] = lambda: None
) -> Recorded:
    """Ask all questions, traced into the MLflow server at ``uri``; the journal and the ledger go to ``data``.

    Args:
        name: of this run; goes on every trace as a tag.
        on_answer: called after each answer.
    """
    ledger = data / "claude-ledger.json"
    # One of an earlier run would be compared with this one's traces, were it now the real Claude that answers.
    ledger.unlink(missing_ok=True)
    with _lens(uri, data) as lens:
        with claude(ledger) as (llm, which):
            run(
                questions,
                graph=build(llm),
                callbacks=lambda q: [
                    lens.callback(brand=q.brand, kpi=q.kpi, user=q.user, session=q.thread, tags={RUN_TAG: name})
                ],
                on_progress=lambda answer: on_answer(),
            )
        report = lens.flush(DELIVERY_S)
    billed = ledger_tokens(orjson.loads(ledger.read_bytes())) if ledger.exists() else None
    return Recorded(which, report, billed)


@contextlib.contextmanager
def _lens(uri: str, data: Path) -> Iterator[tierlens.Lens]:
    lens = tierlens.init(tracking_uri=uri, config_dir=CONFIG, journal_dir=data / "journal", shipper="thread")
    try:
        yield lens
    finally:
        lens.close()
