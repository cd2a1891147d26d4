"""What redaction costs with all rules on: python -m tests.performance.probes.redacting

CPU time in µs a KB of texts that were not seen before: what the reference workload's spans hold, JSON, code and
Markdown; and of the same texts when they come again.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import time
from collections.abc import Mapping, Sequence
from json import decoder
from pathlib import Path

from tests.performance.probes.bare import QUESTION
from tests.performance.reference import workload
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.recorder import Recorder
from tierlens.capture.redaction import RULES, redactor
from tierlens.capture.trace import Context
from tierlens.journal.pauses import Pauses
from tierlens.policy import Policies
from tierlens.testing.memory_journal import MemoryJournal

PIECE = 8_000
TURNS = 30
ROOT = Path(__file__).parents[3]


def spans_texts() -> list[str]:
    """All text in the spans of one invocation."""
    journal = MemoryJournal()
    handler = MlflowCallbackHandler(Recorder(journal, Policies()), Context(), Pauses(Path("paused")))
    workload.build().invoke(QUESTION, {"callbacks": [handler]})
    values = (value for span in journal.spans.values() for value in span.attributes.values())
    return [value for value in values if isinstance(value, str)]


def pieces(texts: Sequence[str]) -> list[str]:
    return [text[at : at + PIECE] for text in texts for at in range(0, len(text), PIECE)]


def json_texts() -> list[str]:
    """What graphs hand on: rows of a table, a chat about documents, a schema."""
    r = random.Random(1)
    rows = [
        {"region": "North", "month": f"2024-{r.randint(1, 12):02}-01", "trx": r.randint(0, 9999), "uplift": r.random()}
        | {"usage": {"input_tokens": r.randint(1, 9999), "output_tokens": 311}, "id": f"{r.getrandbits(128):032x}"}
        for _ in range(60)
    ]
    pages = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    chats = [{"messages": [{"role": "user", "content": page[:6_000]}]} for page in pages]
    schemas = [path.read_text()[:PIECE] for path in sorted((ROOT / "config" / "schemas").glob("*.json"))]
    return [json.dumps({"panel": rows}), *map(json.dumps, chats), *schemas]


def kinds() -> dict[str, list[str]]:
    modules = (argparse, inspect, decoder)
    return {
        "spans": spans_texts(),
        "json": json_texts(),
        "code": pieces([Path(module.__file__).read_text() for module in modules]),
        "markdown": pieces([path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]),
    }


def cpu_s(texts: Mapping[str, Sequence[str]], turn: int) -> dict[str, float]:
    """Seconds by kind; ``turn`` makes every text a new one."""
    redact = redactor(RULES)
    took = {}
    for kind, each in texts.items():
        fresh = [f"{text} {turn}" for text in each]
        before = time.thread_time()
        for text in fresh:
            redact(text)
        took[kind] = time.thread_time() - before
    return took


def main() -> None:
    texts = kinds()
    size = {kind: sum(map(len, each)) / 1024 for kind, each in texts.items()}
    turns = [cpu_s(texts, turn) for turn in range(TURNS)]
    # The least of all turns is what it costs; the rest is what else the machine does.
    best = {kind: min(turn[kind] for turn in turns) for kind in texts}
    again = min(cpu_s({"spans": texts["spans"]}, TURNS - 1)["spans"] for _ in range(TURNS))
    figures = {kind: best[kind] / size[kind] * 1e6 for kind in texts}
    figures["all"] = sum(best.values()) / sum(size.values()) * 1e6
    figures["again"] = again / size["spans"] * 1e6
    print(json.dumps({kind: round(value, 2) for kind, value in figures.items()}))


if __name__ == "__main__":
    main()
