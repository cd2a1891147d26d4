"""A graph that asks a person, and a process that resumes it: ``python -m tests.capture.pausing <folder>``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

import tierlens
from tests.capture.graphs import State, graph


def ask(state: State) -> State:
    answer = interrupt({"ask": "approve the plan?", "cost": 12})
    return {"notes": [f"person said {answer}"]}


def done(state: State) -> State:
    return {"notes": ["done"]}


def approval(saver: Any) -> Any:
    return graph(plan=lambda state: {"notes": ["planned"]}, ask=ask, done=done).compile(
        name="approval", checkpointer=saver
    )


def main() -> None:
    folder = Path(sys.argv[1])
    lens = tierlens.init(journal_dir=folder / "journal", shipper="external", config_dir=folder)
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        config: Any = {"configurable": {"thread_id": "t1"}, "callbacks": [lens.callback()]}
        approval(saver).invoke(Command(resume="yes"), config)
    lens.close()


if __name__ == "__main__":
    main()
