"""What is in the database: its growth, its token totals, and what must not be in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.performance import database
from tests.performance.probes.bare import QUESTION
from tests.performance.probes.tracers import BRAND
from tests.performance.reference import workload
from tests.performance.rows import Reading
from tests.performance.stage import Backend, ProbeFailed, Stage, say

MODEL_CALLS = len(workload.AGENTS)
GROWTH, WARM_UP, FLUSH_EVERY = 150, 20, 10
PRIVATE = 30
NEEDLE = 24


def growth(stage: Stage) -> dict[str, Reading]:
    """KB that the database grows by for each model call stored; beside, with the runs of agents that have files."""
    with_files = {"TIERLENS_CONFIG_DIR": str(stage.configured())}
    ours, theirs = _grown(stage, "tierlens", {}), _grown(stage, "mlflow", {})
    beside = (
        f"autolog {theirs:.1f} KB; with a file for each agent, and so runs, {_grown(stage, 'tierlens', with_files):.1f}"
    )
    return {"growth_kb": Reading((ours,), f"{GROWTH} invocations after {WARM_UP}", beside)}


def _grown(stage: Stage, name: str, environ: Mapping[str, str]) -> float:
    with stage.backend(f"growth-{name}-{len(environ)}") as backend:
        options = ("--warm-up", WARM_UP, "--flush-every", FLUSH_EVERY)
        found = stage.probe("emit", name, GROWTH, *options, backend=backend, environ=environ)
    return float(found["grown_bytes"]) / (found["stored"] * MODEL_CALLS) / 1024


def ledger(stage: Stage) -> dict[str, Reading]:
    """Token totals of the demo's questions in MLflow, less what the offline Claude endpoint says it billed."""
    book = stage.scratch("ledger") / "claude-ledger.json"
    with stage.backend("ledger") as backend:
        stage.probe("asking", book, backend=backend)
        found = database.tokens(backend.database)
    billed = json.loads(book.read_text())["totals"]
    billed["input_tokens"] = billed["all_input_tokens"]
    off = {name: found[name] - billed[name] for name in database.TOKEN_FIELDS}
    if not billed["input_tokens"]:
        raise ProbeFailed("the endpoint billed nothing")
    beside = f"{billed['calls']} calls, {billed['input_tokens']:,} tokens in, {billed['output_tokens']:,} out"
    return {"token_difference": Reading((float(sum(map(abs, off.values()))),), "in, out, cache read, write", beside)}


def privacy(stage: Stage) -> dict[str, Reading]:
    """Bytes of prompt text in journal and database, searched raw; first where prompts are logged, as a control."""
    found = {logged: _traces_left(stage, logged) for logged in (True, False)}
    if not found[True]:
        raise ProbeFailed("the search finds nothing even where prompts are logged")
    beside = f"{found[True]:,} bytes with log_prompts: true"
    return {"private_bytes": Reading((float(found[False]),), f"{PRIVATE} invocations, raw files", beside)}


def _traces_left(stage: Stage, logged: bool) -> int:
    say(f"privacy, log_prompts: {str(logged).lower()}")
    home = stage.scratch("privacy")
    (home / "config").mkdir()
    text = f"app: private\ndefaults:\n  log_prompts: {str(logged).lower()}\n"
    (home / "config" / "tierlens.yaml").write_text(text)
    environ = {"TIERLENS_CONFIG_DIR": str(home / "config"), "TIERLENS_JOURNAL_DIR": str(home / "journal")}
    with stage.backend(f"privacy-{logged}") as backend:
        stage.probe("emit", "tierlens-external", PRIVATE, backend=backend, environ=environ)
        # Searched as it lies there: who ships it also removes it.
        found = sum(text_bytes(path.read_bytes()) for path in _files(home / "journal"))
        if not any((home / "journal").glob("*.jsonl")):
            raise ProbeFailed("there is no journal to search")
        _expect_all(stage.probe("draining", home / "journal", backend=backend)["whole"], backend)
    return found + sum(text_bytes(path.read_bytes()) for path in _files(backend.folder))


def _expect_all(stored: int, backend: Backend) -> None:
    if stored != PRIVATE:
        raise ProbeFailed(f"{stored} of {PRIVATE} traces of {BRAND} arrived at {backend.uri}")


def _files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


def needles() -> set[bytes]:
    """Pieces of every prompt, completion, question and document, so short that a page's end cuts few of them."""
    texts = [workload.TEXT, str(QUESTION["q"])]
    texts += [f"You are the {agent} agent of a commercial analytics team. " for agent in workload.AGENTS]
    return {piece.encode() for text in texts for piece in _pieces(text)}


def _pieces(text: str) -> Iterable[str]:
    starts = [0, *(at + 1 for at, character in enumerate(text) if character == " ")]
    return (text[at : at + NEEDLE] for at in starts if at + NEEDLE <= len(text))


def text_bytes(content: bytes) -> int:
    """How many bytes of ``content`` lie in a needle."""
    covered = bytearray(len(content))
    for needle in needles():
        at = content.find(needle)
        while at >= 0:
            covered[at : at + len(needle)] = b"\x01" * len(needle)
            at = content.find(needle, at + 1)
    return sum(covered)
