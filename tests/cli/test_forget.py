"""``tierlens forget``: what there is of somebody goes, all that is others' stays, and nothing comes back."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.journals import JOURNAL, write
from tests.cli.running import tierlens
from tests.conftest import StoredMlflow
from tests.sinks.traces import Trace, agent_trace
from tierlens import keys
from tierlens.errors import Rejected
from tierlens.journal.blobs import blob_path
from tierlens.journal.codec import decode, encode
from tierlens.journal.pauses import Pause, Pauses
from tierlens.journal.segment import segment_path
from tierlens.journal.writer import Journal
from tierlens.shipping.deadletter import DeadLetters, Letter
from tierlens.sinks.base import Batch
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.spans import Artifact, Invocation, Routing
from tierlens.testing.http_stub import HttpStub, Reply
from tierlens.upkeep.drain import drain

NOWHERE = "http://127.0.0.1:9"
# Tests at work beside these erase theirs from the same server.
ANNA, BERT = (f"{name}-{uuid.uuid4().hex}@example.org" for name in ("anna", "bert"))


def somebodys(user: str, session: str = "s-1") -> Trace:
    """A trace whose root names a user and a session, and whose texts name the user."""
    made = agent_trace(question=f"Why, asks {user}?")
    root = made.root
    named = root._replace(attributes={**root.attributes, keys.USER: user, keys.SESSION: session})
    rest = [one._replace(attributes={**one.attributes, "note": f"of {user}"}) for one in made.spans[1:]]
    return Trace((named, *rest))


@dataclass(frozen=True, slots=True)
class Place:
    """A project whose MLflow is one of the two kinds."""

    folder: Path
    uri: str
    experiment: str

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL

    def open(self) -> Journal:
        return Journal(self.journal, resource={"service.name": "tests"})

    def recorded(self, *traces: Trace) -> None:
        with contextlib.closing(self.open()) as journal:
            for trace in traces:
                write(journal, trace, self.experiment)

    def deliver(self) -> None:
        sink = MlflowHttpSink if self.uri.startswith("http") else MlflowStoreSink
        assert drain(self.journal, lambda: sink(self.uri)).drained

    def forget(self, *arguments: str, uri: str = "") -> Any:
        return tierlens(self.folder, "forget", *arguments, "--json", MLFLOW_TRACKING_URI=uri or self.uri)

    def stored(self) -> set[str]:
        """Ids of all traces that MLflow has in the experiment."""
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            return set()
        traces = client.search_traces(locations=[found.experiment_id], max_results=500, include_spans=False)
        return {trace.info.trace_id.removeprefix("tr-") for trace in traces}

    def bytes(self) -> bytes:
        """Of all files of the journal."""
        return b"".join(path.read_bytes() for path in self.journal.rglob("*") if path.is_file())


@pytest.fixture(params=["over_http", "as_a_database"])
def place(request: pytest.FixtureRequest, tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> Place:
    database = f"sqlite:///{tmp_path}/mlflow.db"
    return Place(tmp_path, mlflow_server.uri if request.param == "over_http" else database, experiment)


@pytest.fixture
def server(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> Place:
    return Place(tmp_path, mlflow_server.uri, experiment)


@pytest.fixture
def nowhere(tmp_path: Path) -> Place:
    """One whose MLflow does not answer."""
    return Place(tmp_path, NOWHERE, "x")


@pytest.mark.server
def test_a_user_goes_from_everywhere_and_others_stay(place: Place) -> None:
    delivered, waiting, others = somebodys(ANNA), somebodys(ANNA), [somebodys(BERT), somebodys(BERT)]
    place.recorded(delivered, others[0])
    place.deliver()
    assert place.stored() == {delivered.id, others[0].id}
    with contextlib.closing(place.open()) as living:
        leave_all_kinds(place, living, waiting, others[1])

        found = place.forget("--user", ANNA)
        assert (found.code, found.json["erased"]) == (0, False)
        assert place.stored() == {delivered.id, others[0].id}
        done = place.forget("--user", ANNA, "--yes")

        assert ANNA.encode() not in place.bytes()
        assert BERT.encode() in place.bytes()
        write(living, somebodys(BERT), place.experiment)

    wanted = {
        "lines": 4,
        "dead_letters": 1,
        "files": 1,
        "pauses": 1,
        "mlflow": {"asked": place.uri, "traces": 1, "runs": 0, "files_left": []},
    }
    for ran in (found, done):
        assert {key: ran.json[key] for key in wanted} == wanted
        assert set(ran.json["traces"]) == {delivered.id, waiting.id}
    assert place.stored() == {others[0].id}
    place.deliver()
    assert len(place.stored()) == 3
    again = place.forget("--user", ANNA)
    assert (again.json["lines"], again.json["mlflow"]["traces"]) == (0, 0)


def leave_all_kinds(place: Place, journal: Journal, hers: Trace, his: Trace) -> None:
    """Lines of a living writer, the start record of an open span, a dead letter, artifacts, notes of pauses."""
    common, own = journal.store_blob(b"common"), journal.store_blob(ANNA.encode())
    files = tuple(Artifact("a.txt", sha256, 6, "text/plain") for sha256 in (common, own))
    journal.append_start(hers.root._replace(end_ns=0), Routing(place.experiment, root=True))
    for span, attached in zip(reversed(hers.spans), ((), (), files), strict=True):
        journal.append(span, Routing(place.experiment, root=span.parent_id is None, artifacts=attached))
    for span in reversed(his.spans):
        routing = Routing(place.experiment, root=span.parent_id is None, artifacts=files[:1])
        journal.append(span, routing)
    line = decode(encode(hers.spans[2], Routing(place.experiment), b'{"attributes":[]}').rstrip(b"\n"))
    DeadLetters(place.journal).put(line, Letter("rejected", 422, "no", 1, 1, 1, final=True, writer=""))
    pauses = Pauses(place.journal / "paused")
    pauses.remember("s-1", "c-1", Pause(hers.id, hers.root.span_id, 1))
    pauses.remember("s-2", "c-2", Pause(his.id, his.root.span_id, 1))
    assert blob_path(place.journal, own).exists()


@pytest.mark.server
def test_a_session_of_more_traces_than_one_call_takes_goes_whole(place: Place) -> None:
    hers, his = [somebodys(ANNA, "long 'talk'") for _ in range(120)], somebodys(BERT, "other")
    place.recorded(*hers, his)
    place.deliver()
    assert len(place.stored()) == 121

    done = place.forget("--session", "long 'talk'", "--yes").json

    assert done["mlflow"]["traces"] == 120
    assert place.stored() == {his.id}


@pytest.mark.server
def test_attached_files_and_runs_of_their_own_go_from_mlflow_too(place: Place) -> None:
    hers, his = somebodys(ANNA), somebodys(BERT)
    with contextlib.closing(place.open()) as journal:
        for trace in (hers, his):
            sha256 = journal.store_blob(trace.root.span_id.encode())
            files = (Artifact("report.txt", sha256, 16, "text/plain"),)
            told = Invocation("abc123", "per_invocation")
            routing = Routing(place.experiment, root=True, artifacts=files, invocation=told)
            journal.append(trace.root, routing._replace(metrics={"verdict": trace.root.span_id}))
    place.deliver()
    assert runs(place) == {f"tr-{hers.id}", f"tr-{his.id}"}
    texts = {trace.root.span_id.encode() for trace in (hers, his)}
    assert texts <= files_below(place)

    done = place.forget("--user", ANNA, "--yes").json

    assert done["mlflow"] == {"asked": place.uri, "traces": 1, "runs": 1, "files_left": []}
    assert runs(place) == {f"tr-{his.id}"}
    assert place.stored() == {his.id}
    assert hers.root.span_id.encode() not in files_below(place)
    assert his.root.span_id.encode() in place.bytes()
    assert hers.root.span_id.encode() not in place.bytes()
    assert hers.root.span_id not in said_of_deleted_runs(place)


def said_of_deleted_runs(place: Place) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(place.uri)
    experiment = client.get_experiment_by_name(place.experiment)
    deleted = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert deleted
    return "".join(f"{run.data.metrics} {run.data.params} {run.data.tags['tierlens.runs']}" for run in deleted)


def runs(place: Place) -> set[str]:
    from mlflow import MlflowClient

    client = MlflowClient(place.uri)
    experiment = client.get_experiment_by_name(place.experiment)
    return {run.data.tags["tierlens.trace"] for run in client.search_runs([experiment.experiment_id])}


def files_below(place: Place) -> set[bytes]:
    """Contents of all small files that MLflow keeps of the experiment's traces and runs."""
    from mlflow import MlflowClient

    client = MlflowClient(place.uri)
    location = client.get_experiment_by_name(place.experiment).artifact_location
    if not place.uri.startswith("http"):
        return {path.read_bytes() for path in Path(location).rglob("*") if path.is_file()}
    return set(server_files(place.uri, location.removeprefix("mlflow-artifacts:/")))


def server_files(uri: str, path: str) -> Iterator[bytes]:
    stored = StoredMlflow(uri)
    with contextlib.closing(stored):
        for one in stored.get("/api/2.0/mlflow-artifacts/artifacts", path=path).get("files", ()):
            below = f"{path}/{one['path']}"
            if one.get("is_dir"):
                yield from server_files(uri, below)
            else:
                yield stored.raw(f"/api/2.0/mlflow-artifacts/artifacts/{below}")


@pytest.mark.server
def test_a_journal_put_back_from_a_backup_brings_nothing_back(server: Place) -> None:
    hers, his = somebodys(ANNA), somebodys(BERT)
    server.recorded(hers)
    copy = server.folder / "backup"
    shutil.copytree(server.journal, copy)
    server.deliver()
    server.forget("--user", ANNA, "--yes")
    shutil.copytree(copy, server.journal, dirs_exist_ok=True)
    flip_a_bit(next(copy.glob("*.jsonl")), server.journal)
    server.recorded(his)

    for command in (["repair", "--yes"], ["drain"], ["verify"], ["deadletter", "retry", "--all"], ["drain"]):
        tierlens(server.folder, "journal", *command, MLFLOW_TRACKING_URI=server.uri)

    assert server.stored() == {his.id}
    assert ANNA.encode() not in server.bytes()


def flip_a_bit(segment: Path, journal: Path) -> None:
    """Put the segment back once more, as another writer's, with damage that can be mended."""
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment_path(journal, "20260101T000000-1-00000001", 1).write_bytes(content)


@pytest.mark.server
def test_a_backup_elsewhere_is_gone_through_by_a_run_of_its_own(server: Place) -> None:
    server.recorded(somebodys(ANNA))
    copy = server.folder / "backup"
    shutil.copytree(server.journal, copy)
    server.forget("--user", ANNA, "--yes")

    done = server.forget("--user", ANNA, "--yes", "--journal-dir", str(copy))

    assert done.json["lines"] == 3
    assert tierlens(server.folder, "ship", "--once", "--journal", str(copy), MLFLOW_TRACKING_URI=server.uri).code == 0
    assert server.stored() == set()


@pytest.mark.server
def test_a_backup_of_dead_letters_still_knows_whose_they_are(server: Place) -> None:
    hers = somebodys(ANNA)
    nameless = hers.spans[2]._replace(attributes={})
    with contextlib.closing(server.open()) as journal:
        journal.append_start(hers.root._replace(end_ns=0), Routing(server.experiment, root=True))
        for span in (nameless, hers.root):
            journal.append(span, Routing(server.experiment, root=span.parent_id is None))
    assert drain(server.journal, lambda: Refusing(server.uri, nameless.span_id)).drained
    assert server.stored() == {hers.id}
    copy = server.folder / "backup"
    shutil.copytree(server.journal / "dead-letter", copy / "dead-letter")
    server.forget("--user", ANNA, "--yes")

    done = server.forget("--user", ANNA, "--yes", "--journal-dir", str(copy))

    assert done.json["dead_letters"] == 1
    assert DeadLetters(copy).names() == []


class Refusing(MlflowHttpSink):
    """Takes no request with a certain span."""

    def __init__(self, uri: str, span: str) -> None:
        super().__init__(uri)
        self._poison = b'"spanId":"%b"' % span.encode()

    def send(self, batch: Batch) -> None:
        if any(self._poison in payload for payload in batch.spans):
            raise Rejected("poison", 400)
        super().send(batch)


@pytest.mark.server
def test_a_backup_that_names_nobody_any_more_is_told_what_was_erased(server: Place) -> None:
    hers = somebodys(ANNA)
    server.recorded(Trace(hers.spans[:2]))
    server.deliver()
    copy = server.folder / "backup"
    nameless = hers.spans[2]._replace(attributes={})
    line = decode(encode(nameless, Routing(server.experiment), b'{"attributes":[]}').rstrip(b"\n"))
    DeadLetters(copy).put(line, Letter("rejected", 422, "no", 1, 1, 1, final=True, writer=""))
    server.forget("--user", ANNA, "--yes")
    shutil.copy(server.journal / "forgotten.jsonl", copy)

    done = server.forget("--user", ANNA, "--yes", "--journal-dir", str(copy))

    assert done.json["dead_letters"] == 1
    assert DeadLetters(copy).names() == []


@pytest.mark.server
def test_without_mlflow_the_journal_is_done_and_the_next_run_does_the_rest(server: Place) -> None:
    hers = somebodys(ANNA)
    # Its root, which names her, waits in the journal: MLflow cannot say whose what it has is.
    with contextlib.closing(server.open()) as journal:
        for span in hers.spans[1:]:
            journal.append(span, Routing(server.experiment))
    server.deliver()
    server.recorded(Trace(hers.spans[:1]))

    failed = server.forget("--user", ANNA, "--yes", uri=NOWHERE)

    assert failed.code == 1
    assert failed.json["lines"] >= 1
    assert "127.0.0.1:9" in failed.json["failure"]
    assert ANNA.encode() not in server.bytes()
    assert server.stored() == {hers.id}
    done = server.forget("--user", ANNA, "--yes")
    assert (done.code, done.json["mlflow"]["traces"]) == (0, 1)
    assert server.stored() == set()
    assert not (server.journal / "forget.left").exists()


@pytest.mark.server
def test_a_trace_whose_root_the_journal_refused_is_found_by_its_start(server: Place) -> None:
    hers = somebodys(ANNA)
    with contextlib.closing(server.open()) as journal:
        journal.append_start(hers.root._replace(end_ns=0), Routing(server.experiment, root=True))
        for span in hers.spans[1:]:
            journal.append(span, Routing(server.experiment))
        server.deliver()
        assert server.stored() == {hers.id}

        done = server.forget("--user", ANNA, "--yes")

    assert done.json["mlflow"]["traces"] == 1
    assert server.stored() == set()


def test_without_mlflow_what_was_done_and_what_not_is_said(nowhere: Place) -> None:
    nowhere.recorded(somebodys(ANNA))

    ran = tierlens(nowhere.folder, "forget", "--user", ANNA, "--yes", MLFLOW_TRACKING_URI=NOWHERE)

    assert ran.code == 1
    assert ran.out.startswith("Erased 3 lines of the journal, 0 dead letters, 0 files, 0 pauses.\n")
    assert "MLflow could not be asked: what it has is still there" in ran.out
    assert f"Run this again when {NOWHERE} can be asked, or with MLFLOW_TRACKING_URI set" in ran.out
    assert ran.err == ""


def test_a_database_that_is_not_there_is_not_taken_for_one_that_has_nothing(nowhere: Place) -> None:
    nowhere.recorded(somebodys(ANNA))

    ran = tierlens(nowhere.folder, "forget", "--user", ANNA, "--yes")

    assert ran.code == 1
    assert ran.out.startswith("Erased 3 lines of the journal")
    assert f"It said: sqlite:///mlflow.db is not there (no file {nowhere.folder}/mlflow.db)" in ran.out
    assert not (nowhere.folder / "mlflow.db").exists()


@pytest.mark.server
def test_the_mlflow_that_was_asked_is_named(server: Place) -> None:
    ran = tierlens(server.folder, "forget", "--user", "nobody", MLFLOW_TRACKING_URI=server.uri)

    assert (ran.code, ran.out) == (
        0,
        f"There is nothing of it in {server.journal}, nor in MLflow at {server.uri}.\n",
    )


def test_an_answer_that_is_not_mlflows_is_not_taken_for_nothing(nowhere: Place) -> None:
    nowhere.recorded(somebodys(ANNA))
    for reply in (Reply(body=b'{"traces": [{"trace_id": "tr'), Reply(500, body=b"no"), Reply(401)):
        with HttpStub(otherwise=reply) as stub:
            ran = nowhere.forget("--user", ANNA, uri=stub.uri)

        assert ran.code == 1
        assert ran.json["failure"]


def test_a_refusal_says_what_to_set(nowhere: Place) -> None:
    nowhere.recorded(somebodys(ANNA))
    with HttpStub(otherwise=Reply(401, body=b"who is there?")) as stub:
        ran = tierlens(nowhere.folder, "forget", "--user", ANNA, MLFLOW_TRACKING_URI=stub.uri)

    assert "It said: 401: who is there?\nTo mend it: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME " in ran.out


def test_a_pause_that_keeps_something_private_goes_on_keeping_it(nowhere: Place) -> None:
    hers = somebodys(ANNA)
    nowhere.recorded(hers)
    pauses = Pauses(nowhere.journal / "paused")
    pauses.remember("s-1", "c-1", Pause(hers.id, hers.root.span_id, 7, ("digest",)))

    nowhere.forget("--trace", f"tr-{hers.id}", "--yes")

    kept = pauses.recall("s-1", "c-1")
    assert kept is not None
    assert (kept.trace_id, kept.span_id, list(kept.private)) == ("", "", ["digest"])


def test_several_traces_can_be_named_at_once(nowhere: Place) -> None:
    gone, kept = [somebodys(ANNA), somebodys(ANNA)], somebodys(ANNA)
    nowhere.recorded(*gone, kept)

    ran = nowhere.forget("--trace", gone[0].id, "--trace", f"tr-{gone[1].id}", "--yes")

    assert ran.json["lines"] == 6
    assert nowhere.bytes().count(kept.root.name.encode()) >= 1


def test_two_at_a_time_do_not_get_into_each_others_way(nowhere: Place) -> None:
    from tierlens.journal.lock import FileLock

    nowhere.recorded(somebodys(ANNA))
    lock = FileLock(nowhere.journal / "forget.lock")
    assert lock.acquire()

    ran = nowhere.forget("--user", ANNA, "--yes")

    assert ran.code == 1
    assert "somebody else erases" in ran.err
    lock.release()


@pytest.mark.parametrize("arguments", [(), ("--user", "a", "--session", "b"), ("--trace", "tr-123")])
def test_nobody_two_at_once_and_half_a_trace_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = tierlens(tmp_path, "forget", *arguments)

    assert ran.code == 2
    assert "--trace" in ran.err


def test_an_otlp_endpoint_is_said_to_keep_what_it_has(nowhere: Place) -> None:
    nowhere.recorded(somebodys(ANNA))

    ran = nowhere.forget("--user", ANNA, "--yes", uri="otlp+http://me:secret@collector:4318")

    assert ran.json["mlflow"]["asked"] is None
    assert ran.json["not_erased_from"] == ["otlp+http://collector:4318"]
    assert "secret" not in ran.out
