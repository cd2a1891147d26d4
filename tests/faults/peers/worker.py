"""A host that uses a peer's client: ``python -m tests.faults.peers.worker PEER PIPE URI EXPERIMENT WORK ARGUMENTS``.

It opens the client, has one call delivered, says "ready", and begins its work once a line comes on stdin: by then the
backend may be gone. ARGUMENTS is a JSON object.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.faults.peers.clients import Client
from tests.faults.receipts import Receipts

PREFIX: Final = "call "
OWN_EXIT: Final = 43
CHILDREN: Final = 8
HANGS_AFTER_S: Final = 40.0
_AT_ONCE: Final = 4
_LARGE: Final = 20 << 20


class Host:
    """Calls the client, and tells what it took."""

    def __init__(self, client: Client, receipts: Receipts) -> None:
        self.client, self.receipts = client, receipts

    def call(self) -> None:
        """One innocent call."""
        key = secrets.token_hex(8)
        name = PREFIX + key
        digest = hashlib.sha256(name.encode()).digest()
        self.receipts.announce(key, digest)
        self.client.call(name, "why did Kisqali's share fall?")
        self.receipts.accepted(key, digest)

    def calls(self, count: float, per_s: float) -> None:
        """So many calls, at a steady pace."""
        due, made = time.monotonic(), 0
        while made < count:
            self.call()
            made += 1
            due += 1 / per_s
            time.sleep(max(0.0, due - time.monotonic()))

    def ends(self) -> None:
        """The last line of the host's program."""
        self.receipts.note("ends", at=time.monotonic())


def leaves(host: Host, count: int, per_s: float) -> None:
    """Call, and end as programs do."""
    host.calls(count, per_s)
    host.ends()


def for_ever(host: Host, per_s: float) -> None:
    """Call until killed."""
    host.calls(float("inf"), per_s)


def told_to_end(host: Host, count: int, per_s: float, handles: bool) -> None:
    """Call, and wait for SIGTERM; with a handler of the host's own that ends it by ``sys.exit``."""
    if handles:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(OWN_EXIT))
    host.calls(count, per_s)
    host.receipts.note("recorded")
    while True:
        signal.pause()


def forks(host: Host, count: int, per_s: float) -> None:
    """Fork eight children while a thread calls; each calls, flushes, and ends by ``os._exit``."""
    stop = threading.Event()
    thread = threading.Thread(target=_call_until, args=(host, stop, per_s))
    thread.start()
    time.sleep(0.5)
    children = [_forked(lambda: _calls_and_flushes(host, count, per_s)) for _ in range(CHILDREN)]
    deadline = time.monotonic() + HANGS_AFTER_S
    codes = [_ended(child, deadline) for child in children]
    stop.set()
    thread.join()
    host.receipts.note("forked", hung=codes.count(None), well=codes.count(0))
    host.ends()


def _call_until(host: Host, stop: threading.Event, per_s: float) -> None:
    while not stop.is_set():
        host.calls(1, per_s)


def _calls_and_flushes(host: Host, count: int, per_s: float) -> None:
    host.calls(count, per_s)
    host.client.flush()


def _forked(work: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def _ended(child: int, deadline: float) -> int | None:
    """A child's exit code; None where it had to be killed."""
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def one_task_each(host: Host, tasks: int, flushes: bool) -> None:
    """Have each task done by a child that multiprocessing forks, and that ends by ``os._exit`` after it."""
    fork, hung = multiprocessing.get_context("fork"), 0
    for first in range(0, tasks, _AT_ONCE):
        batch = range(first, min(first + _AT_ONCE, tasks))
        children = [fork.Process(target=_task, args=(host, flushes)) for _ in batch]
        for child in children:
            child.start()
        deadline = time.monotonic() + HANGS_AFTER_S
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
            hung += child.exitcode is None
            child.kill()
            child.join()
        if hung >= _AT_ONCE:
            break
    host.receipts.note("forked", hung=hung)
    host.ends()


def _task(host: Host, flushes: bool) -> None:
    host.call()
    if flushes:
        host.client.flush()


class Hostile:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


def poison() -> Mapping[str, tuple[Any, str | None]]:
    """Values, and sessions, that break whoever looks at them."""
    cycle: dict[str, Any] = {"self": []}
    cycle["self"].append(cycle)
    return {
        "raising repr": (Hostile(), None),
        "NaN and infinity": ({"nan": float("nan"), "inf": float("inf")}, None),
        "lone surrogate": ("a\ud800b", None),
        "cycle": (cycle, None),
        "session of 400 characters": ("value", "s" * 400),
        "20 MB": ("x" * _LARGE, None),
    }


def poisoned(host: Host, innocents: int, per_s: float, only: str = "") -> None:
    """Innocent calls, before and after each that carries poison; ``only``: a single one of them."""
    for name, (value, session) in poison().items():
        if only not in ("", name):
            continue
        host.calls(innocents, per_s)
        try:
            host.client.call(f"poison: {name}", value, session)
        except Exception as error:
            host.receipts.note("raised", what=name, error=type(error).__name__)
    host.calls(innocents, per_s)
    host.ends()


def fresh(host: Host) -> None:
    """One call, flushed."""
    host.receipts.note("fresh", at=time.monotonic())
    host.call()
    host.client.flush()


WORK: Final[dict[str, Callable[..., None]]] = {
    work.__name__: work for work in (leaves, for_ever, told_to_end, forks, one_task_each, poisoned, fresh)
}


def main(peer: str, pipe: str, uri: str, experiment: str, work: str, arguments: str) -> None:
    module = importlib.import_module(f"tests.faults.peers.clients.{peer}")
    host = Host(module.open_client(uri, experiment), Receipts(Path(pipe)))
    host.client.call("warm up", "value")
    host.client.flush()
    versions = {package: version(package) for package in module.PACKAGES}
    host.receipts.note("ready", pid=os.getpid(), versions=versions)
    sys.stdin.readline()
    WORK[work](host, **json.loads(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
