"""Asks every question of the three brands and prints the answers."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .app import Answer, run
from .claude import claude
from .graph import build
from .panel import SIMULATED
from .questions import QUESTIONS


def main(ledger: Path = Path("var/demo/claude-ledger.json")) -> None:
    console = Console()
    with claude(ledger) as (llm, which):
        console.print(f"Asking {which}. {SIMULATED}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("questions", total=len(QUESTIONS))
            answers = run(QUESTIONS, graph=build(llm), on_progress=lambda _: progress.advance(task))
    for answer in answers:
        show(console, answer)


def show(console: Console, answer: Answer) -> None:
    """One answer, with who worked on it and what was decided."""
    console.print(f"\n[bold]{answer.question.brand}: {answer.question.text}[/bold] ({answer.seconds:.1f} s)")
    console.print(" > ".join(answer.agents), style="dim")
    if answer.approval:
        verdict = "approved" if answer.approval["approved"] else "rejected"
        console.print(f"{verdict}: {answer.approval['reason']}", style="yellow")
    console.print(answer.text, markup=False)


if __name__ == "__main__":
    main()
