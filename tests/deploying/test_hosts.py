"""The set-ups of docs/deploying.md, each with the real host: what was recorded arrives, however processes come and go.

gunicorn with ``--preload`` is in tests/shipping/hosts/test_hosts.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from tests.journal.processes import eventually
from tests.shipping.agents import SLOW_START_S
from tierlens.testing.mlflow_stub import MlflowStub

UVICORN = """
    import os
    import tierlens
    from app import work

    lens = tierlens.init()

    async def served(scope, receive, send):
        if scope["type"] != "http":
            return
        body = f"{os.getpid()} {work(1)}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
CELERY = """
    import tierlens
    from app import work
    from celery import Celery
    from celery.signals import worker_process_init

    celery = Celery("tasks", broker="filesystem://")
    folders = ("data_folder_in", "data_folder_out", "control_folder")
    celery.conf.broker_transport_options = dict.fromkeys(folders, "queue")

    @worker_process_init.connect
    def start(**_):
        tierlens.init()

    @celery.task
    def answer(number):
        work(number)
"""
POOL = """
    import multiprocessing, os, sys
    import tierlens
    from app import work

    def last_task(number):
        tierlens.init()
        work(number)
        os._exit(0)

    if __name__ == "__main__":
        lens = tierlens.init()
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(3, initializer=tierlens.init, maxtasksperchild=2) as pool:
            assert sum(pool.map(work, range(20), chunksize=1)) == 210
        process = context.Process(target=last_task, args=(20,))
        process.start()
        process.join()
"""
FROZEN = """
    import sys
    import tierlens
    from app import work

    lens = tierlens.init()
    for line in sys.stdin:  # one invocation a line, as a function-as-a-service runtime calls its handler
        work(int(line))
        print(lens.flush(timeout_s=20).pending, flush=True)
"""
LOOP = """
    import itertools, os, time
    import tierlens
    from app import work

    lens = tierlens.init()
    for number in itertools.count():
        work(number)
        print(number, flush=True)
        time.sleep(0.01)
"""


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(textwrap.dedent(text))


def arrived(mlflow: MlflowStub, count: int) -> None:
    eventually(lambda: len(mlflow.spans) >= count, seconds=SLOW_START_S)
    assert len(mlflow.spans) == count


def test_uvicorn_workers(environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path) -> None:
    write(tmp_path, "served.py", UVICORN)
    command = [sys.executable, "-m", "uvicorn", "--workers", "2", "--port", "0", "served:served"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            uri = next(found[1] for line in server.stderr if (found := re.search(r"on (http://\S+)", line)))
            for line in server.stderr:
                if "startup complete" in line:
                    break
            answers = [httpx.get(uri, trust_env=False, timeout=30).raise_for_status().text for _ in range(20)]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
    assert {answer.split()[1] for answer in answers} == {"2"}
    arrived(mlflow, 20)


def test_celery_workers_that_are_replaced_after_each_few_tasks(
    environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path
) -> None:
    (tmp_path / "queue").mkdir()
    write(tmp_path, "tasks.py", CELERY)
    options = ["--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "3"]
    command = [sys.executable, "-m", "celery", "-A", "tasks:celery", "worker", *options]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    with (tmp_path / "celery.log").open("wb") as log:
        sender = "import tasks; [tasks.answer.delay(n) for n in range(20)]"
        subprocess.run([sys.executable, "-c", sender], cwd=tmp_path, env=environ, check=True, timeout=60)
        worker = subprocess.Popen([*command, *quiet], cwd=tmp_path, env=environ, stdout=log, stderr=log)
        try:
            eventually(lambda: len(mlflow.spans) >= 20, seconds=SLOW_START_S)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=60)
    arrived(mlflow, 20)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_pools_and_children_that_leave_at_once(
    environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path, method: str
) -> None:
    write(tmp_path, "pool.py", POOL)
    command = [sys.executable, str(tmp_path / "pool.py"), method]
    subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=120)
    arrived(mlflow, 21)


def test_a_function_that_is_frozen_between_its_invocations(
    environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path
) -> None:
    write(tmp_path, "function.py", FROZEN)
    command = [sys.executable, str(tmp_path / "function.py")]
    given = {**environ, "TIERLENS_SHIPPER": "thread"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=given, stdin=pipe, stdout=pipe, text=True) as function:
        assert function.stdin is not None
        assert function.stdout is not None
        for number in range(3):
            function.stdin.write(f"{number}\n")
            function.stdin.flush()
            assert function.stdout.readline() == "0\n", "pending after the flush"
            assert len(mlflow.spans) == number + 1
            os.kill(function.pid, signal.SIGSTOP)
            os.kill(function.pid, signal.SIGCONT)
        function.kill()
    arrived(mlflow, 3)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1), for process namespaces")
def test_a_sidecar_in_a_container_of_its_own_delivers_what_a_killed_agent_left(
    environ: dict[str, str], mlflow: MlflowStub, tmp_path: Path
) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not allow process namespaces of one's own")
    write(tmp_path, "loop.py", LOOP)
    agent_environ = {**environ, "TIERLENS_SHIPPER": "external", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    sidecar = subprocess.Popen([*apart, sys.executable, "-m", "tierlens", "ship"], cwd=tmp_path, env=environ)
    try:
        command = [*apart, sys.executable, str(tmp_path / "loop.py")]
        agent = subprocess.Popen(command, cwd=tmp_path, env=agent_environ, stdout=subprocess.PIPE, text=True)
        assert agent.stdout is not None
        for line in agent.stdout:
            if int(line) == 50:
                break
        agent.kill()
        accepted = 51 + len(agent.stdout.read().split())
        agent.wait(timeout=60)
        eventually(lambda: len(mlflow.spans) >= accepted, seconds=SLOW_START_S)
        # The last may have been accepted and not printed any more.
        assert len(mlflow.spans) - accepted in (0, 1)
    finally:
        sidecar.kill()
        sidecar.wait(timeout=60)
