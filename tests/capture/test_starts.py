"""What is on record of work that has started and not ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda

from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.outcomes import FINE
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import Shield
from tierlens.capture.starts import StartRecords
from tierlens.capture.trace import Context, Open
from tierlens.journal.pauses import Pauses
from tierlens.policy import Policies
from tierlens.spans import Routing, Span
from tierlens.testing.memory_journal import MemoryJournal


def _opened(capture: Capture, name: str, parent: Open | None = None) -> Open:
    opened = capture.recorder.start(object(), name, "TASK", parent=parent, context=Context())
    capture.recorder.started(opened)
    return opened


def _end(capture: Capture) -> None:
    for opened in list(capture.recorder.open.values()):
        capture.recorder.finish(opened, FINE)


def _started(capture: Capture) -> list[str]:
    return [span.name for span in capture.journal.starts]


def test_a_roots_start_is_on_record_at_once(capture: Capture) -> None:
    _opened(capture, "root")
    assert _started(capture) == ["root"]
    _end(capture)


def test_a_roots_start_says_whose_it_is_since_its_end_might_never_come(capture: Capture) -> None:
    callback = capture.callback(brand="Kisqali", user="ana", session="s 1", tags={"wave": "3"})
    callback.on_chain_start({}, {"question": "why"}, run_id=uuid4(), name="graph")

    (start,) = capture.journal.starts
    said = {tag: start.attributes[keys.TRACE_TAG + tag] for tag in ("brand", "user", "session", "wave")}
    assert said == {"brand": "Kisqali", "user": "ana", "session": "s 1", "wave": "3"}
    assert (start.attributes[keys.USER], start.attributes[keys.SESSION]) == ("ana", "s 1")
    _end(capture)


def test_other_work_is_recorded_once_it_has_gone_on_for_a_while(capture: Capture) -> None:
    _opened(capture, "child", _opened(capture, "root"))
    capture.recorder.record_starts(min_age_ns=10**12)
    assert _started(capture) == ["root"]
    capture.recorder.record_starts(min_age_ns=0)
    capture.recorder.record_starts(min_age_ns=0)
    assert _started(capture) == ["root", "child"]
    assert capture.journal.starts[1].end_ns == 0
    _end(capture)


def test_what_has_ended_before_is_not_recorded_as_open(capture: Capture) -> None:
    root = _opened(capture, "root")
    capture.recorder.finish(_opened(capture, "child", root), FINE)
    capture.recorder.record_starts(min_age_ns=0)
    assert _started(capture) == ["root"]
    _end(capture)


class TellingJournal(MemoryJournal):
    """Tells when the start of a model call has been recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = threading.Event()

    def append_start(self, span: Span, routing: Routing, still_open: Callable[[], bool]) -> None:
        super().append_start(span, routing, still_open)
        if span.attributes[keys.SPAN_TYPE] == "CHAT_MODEL":
            self.recorded.set()


def test_the_thread_records_a_model_call_under_way_with_its_prompt(tmp_path: Path) -> None:
    journal = TellingJournal()
    recorder = Recorder(journal, Policies(), Shield(strict=True))
    starts = StartRecords(recorder, after_s=0.01)

    class Slow(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            assert journal.recorded.wait(10), "its start was not recorded"
            return "done"

    chain = RunnableLambda(lambda question: question) | Slow(responses=["done"])
    handler = MlflowCallbackHandler(recorder, Context(), Pauses(tmp_path))
    chain.invoke("Why did starts fall?", {"callbacks": [handler]})
    starts.close()
    assert "Why did starts fall?" in str(journal.starts[-1].attributes[keys.INPUTS])


def test_a_forked_child_leaves_its_parents_open_work_to_the_parent(capture: Capture, tmp_path: Path) -> None:
    starts = StartRecords(capture.recorder, after_s=60)
    _opened(capture, "child", _opened(capture, "root"))
    if (child := os.fork()) == 0:
        capture.recorder.record_starts(min_age_ns=0)
        (tmp_path / "seen").write_text(" ".join(_started(capture)))
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "seen").read_text() == "root"
    starts.close()
    assert _started(capture) == ["root", "child"]
    _end(capture)
