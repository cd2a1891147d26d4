"""``tierlens forget``: erases traces, or all of a session or a user."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tierlens import settings
from tierlens.cli.output import AsJson, JournalDir, counted, journal_directory, plain, print_json, telling
from tierlens.errors import ConfigError, DeliveryError
from tierlens.sinks.mends import mend_of

if TYPE_CHECKING:
    from pathlib import Path

    from tierlens.journal.forgotten import Subject
    from tierlens.upkeep.erasure import Erasure, Found

_TRACE: Final = re.compile(r"(?:tr-)?([0-9a-f]{32})")
_LONGEST_SESSION: Final = 250


def forget(
    user: Annotated[str | None, typer.Option(help="All traces of this user.")] = None,
    session: Annotated[str | None, typer.Option(help="All traces of this session.")] = None,
    trace: Annotated[list[str] | None, typer.Option(help="This trace, with or without tr-; may be repeated.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase it; without this, only say what there is.")] = False,
    journal_dir: JournalDir = None,
    as_json: AsJson = False,
) -> None:
    """Erase traces, or all of a session or a user.

    They go from the journal, living writers' segments too, from the dead letters, files and notes of pauses beside
    it, and from MLflow with their files and the runs they have to themselves. A digest of each id is kept, so that a
    copy that turns up later in this journal is not delivered. Run it on every host that has a journal. What is
    recorded of a user or session later is recorded as ever. The exit code is 1 if something is left that could not
    be removed, or looked for: run it again then.

    Examples:

      tierlens forget --user analyst-1

      tierlens forget --session 7f3a --yes

      tierlens forget --trace tr-0af7651916cd43dd8448eb211c80319c --yes --json
    """
    from tierlens.addresses import shown
    from tierlens.sinks.erasing import stored_traces
    from tierlens.upkeep.erasure import Erasure

    subjects = _subjects(user, session, trace or [])
    if journal_dir is not None:
        journal_directory(journal_dir)
    found = settings.load(journal_dir=journal_dir)
    stored = stored_traces(found)
    with contextlib.closing(stored) if stored else contextlib.nullcontext(), telling(show=not as_json) as tell:
        done = _act(Erasure(found.journal_dir, stored, subjects, tell=tell), yes)
    asked = shown(found.tracking_uri) if stored else None
    elsewhere = [shown(where) for where in (found.otlp_endpoint, "" if stored else found.tracking_uri) if where]
    if as_json:
        print_json({"kind": subjects[0].kind, "erased": yes, **_as_json(done, asked), "not_erased_from": elsewhere})
    else:
        for line in _said(done, found.journal_dir, asked, yes):
            typer.echo(plain(line))
        if not done and subjects[0].kind != "trace" and _is_redacted(subjects[0].id):
            typer.echo("An id like this one is redacted where a rule says so: no trace carries it then. Give another.")
        if elsewhere:
            typer.echo(plain(f"Not erased from {', '.join(elsewhere)}: an OTLP endpoint deletes nothing."))
    if not done.whole:
        raise typer.Exit(1)


def _subjects(user: str | None, session: str | None, traces: list[str]) -> list[Subject]:
    from tierlens.journal.forgotten import Subject

    if sum(map(bool, (user, session, traces))) != 1:
        raise ConfigError("forget", "", "who or what?", "Give one of --user, --session and --trace")
    if user:
        return [Subject("user", user)]
    if session:
        # A longer one is stored by its beginning.
        return [Subject("session", session[:_LONGEST_SESSION])]
    return [Subject("trace", _trace_id(trace)) for trace in traces]


def _trace_id(given: str) -> str:
    match = _TRACE.fullmatch(given.strip().lower())
    if match is None:
        raise ConfigError("--trace", "", repr(given), "is no trace's id: 32 hex digits, with or without tr-")
    return match[1]


def _act(erasure: Erasure, yes: bool) -> Found:
    return erasure.erase() if yes else erasure.look()


def _as_json(done: Found, asked: str | None) -> dict[str, object]:
    found = {**asdict(replace(done, failure=None)), "failure": str(done.failure or "")}
    held = found.pop("held")
    found["mlflow"] = {"asked": asked, "traces": held["traces"], "runs": held["runs"], "files_left": held["left"]}
    return found


def _said(done: Found, journal: Path, asked: str | None, erased: bool) -> Iterator[str]:
    if done:
        parts = [
            f"{counted(done.lines, 'line')} of the journal",
            counted(done.dead_letters, "dead letter"),
            counted(done.files, "file"),
            counted(done.pauses, "pause"),
        ]
        if asked and not done.failure:
            runs = counted(done.held.runs, "run")
            parts += [f"{counted(done.held.traces, 'trace')} and {runs} in MLflow at {asked}"]
        verb, rest = ("Erased", "") if erased else ("Found", " Nothing was changed; --yes erases it.")
        yield f"{verb} {', '.join(parts)}.{rest}"
    else:
        noted = " It is noted all the same, so that no copy of it is delivered." if erased else ""
        mlflow = f", nor in MLflow at {asked}" if asked else ""
        yield f"There is nothing of it in {journal}{mlflow}.{noted}"
    if done.failure:
        yield from _said_of_failure(done.failure, done, asked, erased)
    if done.waiting:
        yield "A request was still under way, and may have brought some of it to MLflow: run this again in a minute."
    for location in done.held.left:
        yield f"Files at {location} cannot be deleted through MLflow: delete them there."


def _said_of_failure(failure: DeliveryError, done: Found, asked: str | None, erased: bool) -> Iterator[str]:
    then = "what it has is still there, and nothing more of it is delivered" if erased else "what it has is not known"
    gone = counted(done.held.traces, "trace") + " deleted there before that; " if done.held.traces else ""
    yield f"MLflow could not be asked: {gone}{then}. It said: {failure}"
    if mend := mend_of(failure):
        yield f"To mend it: {mend}."
    yield f"Run this again when {asked} can be asked, or with MLFLOW_TRACKING_URI set to the MLflow that is meant."


def _is_redacted(id_: str) -> bool:
    from tierlens.capture.redaction import RULES, redactor

    return redactor(RULES)(id_) != id_
