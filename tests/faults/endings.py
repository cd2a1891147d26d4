"""Rows 4, 6, 7 and 8: processes that end and multiply as hosts have them do."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import httpx

from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import forking, signalled
from tierlens.local.ports import free_port

HOST: Final = "127.0.0.1"
CLIENTS: Final = 4
SHIPPERS: Final = ("process", "thread")


def sigterm(scene: Scene) -> Finding:
    """Row 4: SIGTERM to a host without a handler, to one with its own, and to gunicorn under load."""
    calls = scene.short_or_full(50, 1_000)
    with scene.sidecar():
        codes = [_terminated(scene, calls, handles) for handles in (False, True)]
        answered = _gunicorn_terminated(scene, scene.short_or_full(300, 5_000))
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    untouched = [note["untouched"] for note in scene.ledger.noted("recorded")]
    checks = (
        equal("exit codes", codes, [-signal.SIGTERM, signalled.OWN_EXIT]),
        equal("hosts with their own handlers untouched", sum(untouched), 2),
        at_least("requests answered by gunicorn", answered, 1),
    )
    return Finding(spans, recovery, checks)


def _terminated(scene: Scene, calls: int, handles: bool) -> int:
    before = len(scene.ledger.noted("recorded"))
    worker = scene.start(signalled.told_to_end, calls, handles)
    scene.ledger.wait_for("recorded", before + 1)
    worker.signal(signal.SIGTERM)
    return worker.join()


def _gunicorn_terminated(scene: Scene, enough: int) -> int:
    """Requests answered by the time that gunicorn, told to end, no longer listens."""
    with gunicorn(scene, "--workers", "2") as service, ThreadPoolExecutor(CLIENTS) as clients:
        counts = [clients.submit(service.ask_until_it_ends) for _ in range(CLIENTS)]
        scene.until(lambda: service.answered >= enough)
        service.process.send_signal(signal.SIGTERM)
        return sum(count.result() for count in counts)


def preloaded(scene: Scene) -> Finding:
    """Row 7: gunicorn with four forked workers, each replaced after some requests."""
    wanted = scene.short_or_full(600, 20_000)
    options = ("--preload", "--workers", "4", "--max-requests", "100", "--max-requests-jitter", "20")
    with scene.sidecar():
        with gunicorn(scene, *options) as service, ThreadPoolExecutor(CLIENTS) as clients:
            sent = list(clients.map(lambda _: service.ask(wanted // CLIENTS), range(CLIENTS)))
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    checks = (equal("requests answered", sum(sent), wanted), at_least("spans", spans.accepted, 2 * wanted))
    return Finding(spans, recovery, checks)


class Service:
    """A running gunicorn.

    Attributes:
        answered: requests, so far.
    """

    def __init__(self, process: subprocess.Popen[bytes], uri: str) -> None:
        self.process, self._uri = process, uri
        self.answered = 0
        self._lock = threading.Lock()

    def ask(self, count: int) -> int:
        """So many requests, tried again while a worker is being replaced; how many were answered."""
        answered, deadline = 0, time.monotonic() + 300
        with httpx.Client(base_url=self._uri, trust_env=False, timeout=30) as client:
            while answered < count and time.monotonic() < deadline:
                answered += self._answers(client)
        return answered

    def ask_until_it_ends(self) -> int:
        """Requests until nobody answers any more; how many were."""
        answered = 0
        with httpx.Client(base_url=self._uri, trust_env=False, timeout=30) as client:
            while self.process.poll() is None:
                answered += self._answers(client)
        return answered

    def _answers(self, client: httpx.Client) -> bool:
        try:
            good = client.get("/ask").status_code == 200
        except httpx.HTTPError:
            time.sleep(0.01)
            return False
        with self._lock:
            self.answered += good
        return good


@contextmanager
def gunicorn(scene: Scene, *options: str) -> Iterator[Service]:
    """The recording web service under gunicorn, once it answers; ended when it is left, if it has not."""
    address = f"{HOST}:{free_port(HOST, 0)}"
    command = [sys.executable, "-m", "gunicorn", "--bind", address, *options, "tests.faults.workers.web:app"]
    environment = scene.environment() | {"FAULTS_ORDERS": scene.orders().as_json()}
    with (scene.folder / "gunicorn.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=scene.folder, stdout=log, stderr=log)
    service = Service(process, f"http://{address}")
    try:
        if service.ask(1) != 1:
            raise TimeoutError("gunicorn does not answer")
        yield service
    finally:
        process.terminate()
        process.wait(60)


def forks(scene: Scene) -> Finding:
    """Row 6: eight forks while a thread records, by each kind of shipper."""
    calls = scene.short_or_full(40, 500)
    for shipper in SHIPPERS:
        code = scene.start_cold(forking.parent_of_eight, calls, shipper).join(120)
        if code:
            raise RuntimeError(f"the parent ended with {code}")
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    ended = scene.ledger.noted("forked")
    own = [note["own_segments"] for note in scene.ledger.noted("child")]
    checks = (
        equal("children that ended well", sum(note["codes"].count(0) for note in ended), 8 * len(SHIPPERS)),
        equal("with a segment of their own", own.count(1), 8 * len(SHIPPERS)),
        at_most("until all had ended", max(note["took_s"] for note in ended), 30, " s"),
    )
    return Finding(spans, recovery, checks)


def one_task_each(scene: Scene) -> Finding:
    """Row 8: a child for every task, gone by ``os._exit`` right after it."""
    tasks = scene.short_or_full(150, 1_000)
    code = scene.start(forking.one_task_each, tasks).join(600)
    with scene.sidecar():
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    # A call is two spans; the parent's own and the fresh one come on top.
    checks = (equal("tasks recorded", (spans.accepted - 3) // 2, tasks), equal("exit code", code, 0))
    return Finding(spans, recovery, checks)
