"""What append accepts is in the journal; what it does not accept is counted."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.journal.processes import eventually, start
from tests.journal.reading import lines, numbers, read
from tests.journal.spans import ROUTING, filled, span
from tierlens.errors import JournalRefused
from tierlens.journal import Journal
from tierlens.journal.lock import is_orphan
from tierlens.journal.quota import usage
from tierlens.journal.segment import lock_path, writers

MakeJournal = Callable[..., Journal]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal_of(directory: Path) -> Iterator[MakeJournal]:
    made: list[Journal] = []

    def make(**arguments: object) -> Journal:
        journal = Journal(directory, resource={"service.name": "app"}, **arguments)  # type: ignore[arg-type]
        made.append(journal)
        return journal

    yield make
    for journal in made:
        journal.close()


def refused_reason(journal: Journal, number: int, size: int = 100) -> str | None:
    try:
        journal.append(filled(number, size), ROUTING)
    except JournalRefused as refusal:
        return refusal.reason
    return None


def test_a_journal_that_is_never_written_to_leaves_nothing(directory: Path, journal_of: MakeJournal) -> None:
    journal_of().close()

    assert not directory.exists()


def test_an_accepted_span_is_on_disk_when_append_returns(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of()

    journal.append(span(1, text="hello"), ROUTING)

    (line,) = lines(directory)
    assert orjson.loads(line.payload)["attributes"][0]["value"] == {"stringValue": "hello"}
    assert journal.counts().accepted == 1


def test_only_the_owner_can_read(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of()
    journal.append(span(1), ROUTING)
    journal.store_blob(b"figure")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.rglob("*")]}

    assert {mode for name, mode in modes.items() if name in {"journal", "blobs"}} == {0o700}
    assert {mode for name, mode in modes.items() if name not in {"journal", "blobs"}} == {0o600}


def test_a_full_segment_is_left_for_a_new_one(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(segment_bytes=4_000)

    for number in range(50):
        journal.append(filled(number, 200), ROUTING)

    (writer,) = writers(directory)
    assert len(writer.segments) > 4
    assert all(path.stat().st_size <= 4_000 for path in directory.glob("*.jsonl"))
    assert numbers(directory) == list(range(50))


def test_a_line_longer_than_a_segment_has_one_to_itself(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(segment_bytes=2_000)

    for number, size in enumerate([100, 9_000, 100]):
        journal.append(filled(number, size), ROUTING)

    assert len(list(directory.glob("*.jsonl"))) == 3
    assert numbers(directory) == [0, 1, 2]


def test_threads_share_a_journal(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(segment_bytes=20_000)

    def work(first: int) -> None:
        for number in range(first, first + 200):
            journal.append(filled(number, 100), ROUTING)

    threads = [threading.Thread(target=work, args=(thread * 200,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read(directory) == (lines(directory), 0)
    assert numbers(directory) == list(range(1600))
    assert journal.counts().accepted == 1600


def test_open_spans_are_recorded(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of()

    journal.append_start(span(1, end_ns=0), ROUTING)

    assert numbers(directory, "start") == [1]
    assert (journal.counts().started, journal.counts().accepted) == (1, 0)


def test_the_writers_lock_is_held_until_close(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of()
    journal.append(span(1), ROUTING)
    path = lock_path(directory, journal.writer)

    assert not is_orphan(path)
    journal.close()
    assert is_orphan(path)


def test_a_closed_journal_refuses(journal_of: MakeJournal) -> None:
    journal = journal_of()
    journal.append(span(1), ROUTING)
    journal.close()

    assert refused_reason(journal, 2) == "closed"
    assert journal.counts().refused == {"closed": 1}
    with pytest.raises(JournalRefused):
        journal.store_blob(b"late")


def test_the_quota_bounds_the_disk_and_the_loss_records_say_exactly_what_was_refused(
    directory: Path, journal_of: MakeJournal
) -> None:
    journal = journal_of(quota_bytes=100_000, segment_bytes=10_000)

    refused = Counter(refused_reason(journal, number, 300) for number in range(1_000))
    assert usage(directory) <= 110_000
    assert set(refused) == {None, "quota"}
    # On a slow machine some of it has been said already, in segments that now go.
    (gone := directory.parent / "gone").mkdir()
    for path in sorted(directory.glob("*.jsonl"))[:4]:
        path.rename(gone / path.name)
    eventually(lambda: (reason := refused_reason(journal, 2_000)) is None or bool(refused.update([reason])))

    told = Counter[str]()
    for line in (*lines(directory), *lines(gone)):
        told.update(line.refused or {})
    assert told == {"quota": refused["quota"]}
    assert journal.counts().refused == told


def test_a_journal_closed_while_it_is_full_still_says_what_it_refused(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(quota_bytes=20_000, segment_bytes=10_000)
    refused = Counter(refused_reason(journal, number, 300) for number in range(200))

    journal.close()

    told = Counter[str]()
    for line in lines(directory):
        told.update(line.refused or {})
    assert told == {"quota": refused["quota"]}


def test_processes_share_the_quota(directory: Path) -> None:
    def work(say: Callable[[int], None]) -> None:
        journal = Journal(directory, resource={}, quota_bytes=2_000_000, segment_bytes=200_000)
        for number in range(3_000):
            if refused_reason(journal, number, 1_000) is None:
                say(number)

    workers = [start(work) for _ in range(4)]
    accepted = [worker.wait() for worker in workers]

    assert usage(directory) <= 2_200_000
    assert sum(len(each) for each in accepted) == len(numbers(directory))


def test_an_overlong_line_keeps_everything_but_its_longest_values(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(max_line_bytes=50_000)

    journal.append(span(1, text="x" * 100_000), ROUTING)

    (line,) = lines(directory)
    told = orjson.loads(orjson.loads(line.payload)["attributes"][0]["value"]["stringValue"])
    assert (told["truncated"], told["bytes"], told["head"]) == (True, 100_000, "x" * 1_000)
    assert (journal.counts().accepted, journal.counts().truncated) == (1, 1)


def test_what_is_too_large_even_then_is_refused(journal_of: MakeJournal) -> None:
    journal = journal_of(max_line_bytes=200)

    assert refused_reason(journal, 1) == "too_large"


def test_a_limit_on_file_size_only_costs_a_new_segment(directory: Path) -> None:
    def work(say: Callable[[int], None]) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        journal = Journal(directory, resource={})
        for number in range(400):
            journal.append(filled(number, 500), ROUTING)
            say(number)

    accepted = start(work).wait()

    assert accepted == list(range(400))
    found, damaged = read(directory)
    assert sorted(int(line.span, 16) for line in found) == accepted
    assert damaged <= len(list(directory.glob("*.jsonl")))


def test_a_directory_that_cannot_be_written_refuses_and_never_raises_anything_else(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    journal = Journal(blocked, resource={})

    assert refused_reason(journal, 1) == "io"
    with pytest.raises(JournalRefused):
        journal.store_blob(b"figure")
    assert journal.counts().blobs_refused == 1
    journal.close()


def test_a_span_that_cannot_be_a_span_is_refused(journal_of: MakeJournal) -> None:
    journal = journal_of()

    with pytest.raises(JournalRefused):
        journal.append(None, ROUTING)  # type: ignore[arg-type]
    assert journal.counts().refused == {"invalid": 1}


def test_a_deleted_segment_is_noticed_and_a_new_one_begun(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(fsync_interval_s=0.01)
    journal.append(span(1), ROUTING)
    first = journal.writer
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()

    def begun_anew() -> bool:
        journal.append(span(2), ROUTING)
        return journal.writer not in {first, ""}

    eventually(begun_anew)
    assert 2 in numbers(directory)


def test_a_folder_that_was_moved_is_noticed_and_a_new_one_begun(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of(fsync_interval_s=0.01)
    journal.append(span(1), ROUTING)
    first, moved = journal.writer, directory.with_name("moved")
    directory.rename(moved)

    def begun_anew() -> bool:
        journal.append(span(2), ROUTING)
        return journal.writer not in {first, ""}

    eventually(begun_anew)
    assert 1 in numbers(moved)
    assert 2 in numbers(directory)
    assert is_orphan(lock_path(moved, first))


def test_nothing_is_lost_in_a_folder_that_was_deleted_while_nothing_was_written(
    directory: Path, journal_of: MakeJournal
) -> None:
    journal = journal_of(fsync_interval_s=0.001)
    journal.append(span(1), ROUTING)
    eventually(lambda: journal._background is None)
    shutil.rmtree(directory)

    journal.append(span(2), ROUTING)

    assert numbers(directory) == [2]


def test_a_host_that_closes_all_descriptors_keeps_its_journal(directory: Path, journal_of: MakeJournal) -> None:
    def work(say: Callable[[int], None]) -> None:
        journal = Journal(directory, resource={})
        journal.append(span(1), ROUTING)
        pipes = [os.dup(fd) for fd in range(3)]
        os.closerange(pipes[-1] + 100, 4096)
        os.close(journal._files.fd)
        journal.append(span(2), ROUTING)

    start(work).wait()

    assert numbers(directory) == [1, 2]


def test_the_same_content_is_one_blob(directory: Path, journal_of: MakeJournal) -> None:
    journal = journal_of()

    names = {journal.store_blob(b"figure"), journal.store_blob(b"figure")}

    (path,) = (directory / "blobs").iterdir()
    assert names == {path.name}
    assert path.read_bytes() == b"figure"


def test_an_empty_artifact_is_one_too(directory: Path, journal_of: MakeJournal) -> None:
    name = journal_of().store_blob(b"")

    assert (directory / "blobs" / name).read_bytes() == b""


def test_blobs_count_towards_the_quota(journal_of: MakeJournal) -> None:
    journal = journal_of(quota_bytes=10_000)
    journal.append(span(1), ROUTING)

    with pytest.raises(JournalRefused) as refusal:
        journal.store_blob(bytes(20_000))
    assert refusal.value.reason == "quota"


def test_the_background_thread_sleeps_while_nothing_is_written_and_wakes_again(
    directory: Path, journal_of: MakeJournal
) -> None:
    others = set(threading.enumerate())

    def is_awake() -> bool:
        return any(thread.name == "tierlens-journal" for thread in set(threading.enumerate()) - others)

    journal = journal_of(fsync_interval_s=0.02)
    journal.append(span(1), ROUTING)
    assert is_awake()
    eventually(lambda: not is_awake())

    journal.append(span(2), ROUTING)

    assert is_awake()
    assert numbers(directory) == [1, 2]


def test_an_append_from_within_an_append_is_kept(directory: Path) -> None:
    nested: list[int] = []

    def interrupting() -> float:
        # Called while an append holds the journal's lock, as a signal handler or a finalizer would be.
        if journals and not nested:
            nested.append(100)
            journals[0].append(span(100), ROUTING)
        return 0.0

    journals: list[Journal] = []
    journals.append(Journal(directory, resource={}, monotonic=interrupting))
    journals[0].append(span(1), ROUTING)

    assert numbers(directory) == [1, 100]
    journals[0].close()
