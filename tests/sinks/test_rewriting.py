"""What leaves the host has passed through the function; what the function cannot take does not leave."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens import keys
from tierlens.errors import Forbidden
from tierlens.projection.finish import Attached
from tierlens.sinks.base import Sink
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.opening import open_sink
from tierlens.sinks.rewriting import DROPPED, FailingClosed, redactor_named, rewriting
from tierlens.sinks.runs import run_sink_of
from tierlens.sinks.witness import witness_of
from tierlens.spans import Artifact
from tierlens.testing.mlflow_stub import MlflowStub
from tierlens.testing.sinks import MemorySink

SECRET = "Anna Smith"


class Reading(MemorySink):
    """Keeps what the files said that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[bytes] = []

    def finish(self, finish) -> None:
        super().finish(finish)
        self.files += [Path(one.path).read_bytes() for one in finish.attached]


def without(text: str) -> str:
    return text.replace(SECRET, "N.N.")


def attached(folder: Path, content: bytes) -> Attached:
    path = folder / "file"
    path.write_bytes(content)
    return Attached("b" * 16, Artifact("file", "a" * 64, len(content), "text/plain"), str(path))


def test_spans_and_files_are_sent_rewritten_and_binary_files_as_they_are(tmp_path):
    inner, trace = Reading(), agent_trace(question=SECRET)
    sink = rewriting(inner, without)
    sink.send(batch("x", *trace.spans, finishes=[trace.finish("x", attached=[attached(tmp_path, SECRET.encode())])]))
    sink.finish(trace.finish("x", attached=[attached(tmp_path, b"\xff" + SECRET.encode())]))

    assert SECRET not in str(inner.spans) + str([one.root for one in inner.finishes[trace.id]])
    assert inner.files == [b"N.N.", b"\xff" + SECRET.encode()]


def test_a_text_that_it_fails_at_is_dropped_counted_and_said_without_being_quoted(caplog):
    def failing(text: str) -> str:
        raise ValueError(text)

    rewrite = FailingClosed(lambda: failing, clock=iter((0.0, 0.0, 1.0)).__next__)

    with caplog.at_level(logging.WARNING):
        assert [rewrite(SECRET), rewrite(SECRET + ".")] == [DROPPED, DROPPED]

    assert rewrite.dropped == 2
    assert [record.getMessage() for record in caplog.records] == [
        "TIERLENS_SHIP_REDACTOR failed, 1 text(s) dropped so far: ValueError"
    ]


def test_what_is_no_text_is_not_taken_for_one():
    assert FailingClosed(lambda: lambda text: None)(SECRET) == DROPPED  # type: ignore[arg-type,return-value]  # on purpose


@pytest.mark.parametrize(
    "name", ["no_such_module:redact", "json:no_such_function", "sys:path", "presidio:no_such_model"]
)
def test_without_the_function_nothing_is_sent(name: str):
    with MlflowStub() as stub:
        sink = open_sink(stub.uri, redactor=name)
        with pytest.raises(Forbidden, match="so nothing is sent"):
            sink.send(batch("x", *agent_trace(question=SECRET).spans))
        sink.close()

        assert not any(SECRET.encode() in request.body for request in stub.requests)


def test_it_is_imported_by_whoever_sends_and_not_before(tmp_path):
    code = (
        "import sys\n"
        "from tierlens.sinks.opening import open_sink\n"
        "open_sink('http://localhost:1', redactor='presidio')\n"
        "print([name for name in sys.modules if 'presidio' in name or name == 'spacy'])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_runs_and_questions_go_through_to_mlflow_and_both_destinations_are_behind_it():
    sink: Sink = open_sink("http://localhost:1", otlp_endpoint="http://localhost:2/v1/traces", redactor="html:escape")

    assert isinstance(sink, FanOut)
    assert witness_of(sink) is not None
    assert run_sink_of(sink) is not None
    assert not isinstance(sink.first, MlflowHttpSink)


def test_a_function_is_found_by_its_module():
    assert redactor_named("html:escape")("<") == "&lt;"


class TestPresidio:
    """The real one, without a language model."""

    @pytest.fixture(scope="class")
    @classmethod
    def presidio(cls):
        pytest.importorskip("presidio_analyzer")
        return redactor_named("presidio")

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("Mail anna@example.org now", "Mail [redacted:email_address] now"),
            ("Card 4111 1111 1111 1111.", "Card [redacted:credit_card]."),
            ("IBAN DE89370400440532013000", "IBAN [redacted:iban_code]"),
            ("Call +1 212-555-0187", "Call [redacted:phone_number]"),
            (
                "Uplift of 0.42 in 2024, see https://example.org/a?b=1",
                "Uplift of 0.42 in 2024, see https://example.org/a?b=1",
            ),
        ],
    )
    def test_it_takes_what_has_a_form_and_leaves_the_rest(self, presidio, text: str, left: str):
        assert presidio(text) == left

    def test_without_a_model_it_knows_no_names(self, presidio):
        assert presidio(SECRET) == SECRET


def test_tags_that_are_set_later_are_rewritten_too_and_our_own_counts_are_not():
    with MlflowStub() as stub:
        sink = rewriting(MlflowHttpSink(stub.uri), lambda text: "X")

        witness_of(sink).tag("a" * 32, {"user": SECRET, "brand": "Kisqali", keys.SPANS: "2 of 3"})

        assert stub.tags["a" * 32] == {"user": "X", "brand": "Kisqali", keys.SPANS: "2 of 3"}
        sink.close()
