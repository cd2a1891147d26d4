"""``tierlens journal deadletter``: spans that MLflow would not take, and trying them again."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import orjson
import typer

from tierlens.cli.output import AsJson, JournalDir, group, journal_directory, print_json, print_table
from tierlens.errors import ConfigError, DamagedLine
from tierlens.journal.codec import Line
from tierlens.shipping.deadletter import DeadLetters, Letter

deadletter: Final = group(
    """Spans that no server would take: list them, look at one, try them again.

    Examples:

      tierlens journal deadletter list

      tierlens journal deadletter retry --all
    """
)

Reason = Annotated[str | None, typer.Option(help="Only those: rejected, too_large or unavailable.")]
_DETAIL: Final = 80


@deadletter.command("list")
def list_letters(journal_dir: JournalDir = None, reason: Reason = None, as_json: AsJson = False) -> None:
    """List the dead letters: whose they are, why they are there, how often they were tried.

    Examples:

      tierlens journal deadletter list

      tierlens journal deadletter list --reason rejected --json
    """
    letters = DeadLetters(journal_directory(journal_dir))
    found = [(name, letter, line) for name, letter, line in letters.all() if reason in (None, letter.reason)]
    if as_json:
        print_json([_facts(*one) for one in found])
        return
    if not found:
        typer.echo("There are no dead letters" + (f" of reason {reason}." if reason else "."))
        return
    rows = [
        (
            _name(name),
            letter.reason,
            letter.status or "",
            letter.tries,
            "no" if letter.final else "yes",
            letter.part,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.last_ns / 1e9)),
            letter.detail[:_DETAIL],
        )
        for name, letter, _ in found
    ]
    print_table(("letter", "reason", "status", "tries", "tried on", "part", "last try", "what was said"), rows)


@deadletter.command()
def show(
    letter: Annotated[str, typer.Argument(help="Its name, or the beginning of it.")],
    journal_dir: JournalDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter whole: why, and the span itself.

    Examples:

      tierlens journal deadletter show 0af7651916cd43dd

      tierlens journal deadletter show 0af7651916cd43dd --json
    """
    letters = DeadLetters(journal_directory(journal_dir))
    name = _one(letters, letter)
    try:
        facts, line = letters.read(name)
    except DamagedLine as error:
        raise ConfigError(
            str(letters.directory / name), "", str(error), "; `tierlens journal repair` may mend it"
        ) from error
    whole = {**_facts(name, facts, line), "payload": orjson.loads(line.payload)}
    if as_json:
        print_json(whole)
        return
    span = whole.pop("payload")
    print_table(("", ""), [(key.replace("_", " "), value) for key, value in whole.items()])
    print_json(span)


@deadletter.command()
def retry(
    letters: Annotated[list[str] | None, typer.Argument(help="Names, or beginnings of names.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    reason: Reason = None,
    journal_dir: JournalDir = None,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back into the journal, to be delivered once more by whoever ships.

    One that is refused again becomes a dead letter again. A span that was stored in part, since it was too
    large, is sent whole: do that once the server takes it.

    Examples:

      tierlens journal deadletter retry 0af7651916cd43dd

      tierlens journal deadletter retry --reason rejected

      tierlens journal deadletter retry --all
    """
    from tierlens.upkeep.postbox import put_back

    directory = journal_directory(journal_dir)
    folder = DeadLetters(directory)
    if bool(letters) + every + (reason is not None) != 1:
        raise ConfigError("deadletter retry", "", "which ones?", "Give names, or --reason, or --all")
    wanted = {_one(folder, name) for name in letters or ()}
    found = [
        (name, line)
        for name, letter, line in folder.all()
        if every or name in wanted or (reason is not None and letter.reason == reason)
    ]
    put_back(directory, (line for _, line in found))
    for name, _ in found:
        folder.remove(name)
    if as_json:
        print_json({"put_back": [_name(name) for name, _ in found]})
    else:
        then = "; whoever ships delivers them, or `tierlens journal drain`" if found else ""
        typer.echo(f"{len(found)} put back into {directory}{then}.")


def _one(letters: DeadLetters, given: str) -> str:
    found = [name for name in letters.names() if name.startswith(given)]
    if len(found) == 1:
        return found[0]
    said = "is the beginning of several names" if found else "is no dead letter's name"
    raise ConfigError("deadletter", "", repr(given), f"{said}; `tierlens journal deadletter list` shows them")


def _name(name: str) -> str:
    return name.removesuffix(".jsonl")


def _facts(name: str, letter: Letter, line: Line) -> dict[str, Any]:
    return {
        "letter": _name(name),
        "reason": letter.reason,
        "status": letter.status,
        "detail": letter.detail,
        "tries": letter.tries,
        "final": letter.final,
        "first_ns": letter.first_ns,
        "last_ns": letter.last_ns,
        "writer": letter.writer,
        "part": letter.part,
        "trace": line.trace,
        "span": line.span,
        "experiment": line.experiment,
        "bytes": len(line.payload),
    }
