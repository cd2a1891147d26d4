"""``tierlens journal drain``, ``repair``, ``verify`` and ``incomplete``: seeing to it that all of it is stored."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated

import typer

from tierlens import settings
from tierlens.cli.delivering import progress, say
from tierlens.cli.output import AsJson, JournalDir, Patience, counted, journal_directory, print_json, print_table


def drain(
    journal_dir: JournalDir = None,
    patience: Patience = 30.0,
    as_json: AsJson = False,
) -> None:
    """Deliver what lies there now, and end.

    As `tierlens ship --once`; but where a process ships for agents that live, that one is asked to hurry, and
    waited for. The exit code is 1 if anything is left.

    Examples:

      tierlens journal drain

      tierlens journal drain --patience 300 --json
    """
    from tierlens.config.environment import environment_of
    from tierlens.shipping.metrics import tally_from
    from tierlens.sinks.configured import sink_from
    from tierlens.upkeep.drain import drain as deliver

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    directory = journal_directory(journal_dir)
    environment = environment_of(settings.load(journal_dir=journal_dir))
    with progress(directory, show=not as_json):
        open_tally = tally_from(environment, directory)
        report = deliver(directory, lambda: sink_from(environment), patience_s=patience, open_tally=open_tally)
    say(report, directory, as_json)
    if not report.drained:
        raise typer.Exit(1)


def verify(
    journal_dir: JournalDir = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare; send nothing again.")] = False,
    patience: Patience = 30.0,
    as_json: AsJson = False,
) -> None:
    """Compare what was delivered with what MLflow holds, and send again what is missing.

    Whoever ships asks MLflow a second after each request whether it holds what it took, and removes a segment
    only then. What is compared here is what still lies in the journal: all that was not removed yet. The exit
    code is 1 if something was missing with --check, or is still missing after it was sent again.

    Examples:

      tierlens journal verify

      tierlens journal verify --check --json
    """
    from tierlens.cli.tracking import must_exist
    from tierlens.sinks.configured import sink_for
    from tierlens.upkeep.verify import verify as compare

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    directory = journal_directory(journal_dir)
    found = settings.load(journal_dir=journal_dir)
    must_exist(found)
    done = compare(directory, lambda: sink_for(found), send=not check, patience_s=patience)
    compared = done.compared
    if as_json:
        missing = [{"trace": line.trace, "span": line.span} for line in compared.missing]
        counts = {"traces": compared.traces, "spans": compared.spans, "missing": missing, "put_back": done.put_back}
        print_json({**counts, "still_missing": len(done.still_missing)})
    else:
        typer.echo(
            f"{counted(compared.spans, 'delivered span')} of {counted(compared.traces, 'trace')} compared: "
            f"{len(compared.missing)} missing, {done.put_back} sent again, {len(done.still_missing)} missing now."
        )
    if done.still_missing:
        raise typer.Exit(1)


def repair(
    journal_dir: JournalDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Mend it; without this, only say what is damaged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is damaged, and mend what can be mended.

    A line with one flipped bit is found out again by its checksum and put back as a line of its own; undamaged
    lines are never touched, and whoever writes or ships need not be stopped. A line that was cut short when its
    process was killed had not been accepted, and cannot be mended. The exit code is 1 if there is damage that
    has not been dealt with, or, with --yes, some that could not be mended.

    Examples:

      tierlens journal repair

      tierlens journal repair --yes
    """
    from tierlens.upkeep.repair import flaws, mend

    directory = journal_directory(journal_dir)
    found = [flaw for flaw in flaws(directory) if not flaw.done]
    put_back = mend(directory, flaws(directory)) if yes else 0
    if as_json:
        said = [{"file": f.file, "offset": f.offset, "bytes": f.size, "what": f.what, "mend": f.remedy} for f in found]
        print_json({"damaged": said, "mended": yes, "put_back": put_back})
    elif not found:
        typer.echo("Nothing is damaged.")
    else:
        print_table(
            ("file", "at", "bytes", "what", "mending"), [(f.file, f.offset, f.size, f.what, f.remedy) for f in found]
        )
        then = (
            f"{counted(put_back, 'span')} put back." if yes else "Nothing was changed; --yes mends what can be mended."
        )
        typer.echo(then)
    if any(not (yes and flaw.mendable) for flaw in found):
        raise typer.Exit(1)


def incomplete(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the traces in MLflow that lack spans.

    Each trace is tagged with how many spans its process started and how many are stored; this asks MLflow for
    those with tierlens.complete = false. The exit code is 1 if there are any.

    Examples:

      tierlens journal incomplete

      tierlens journal incomplete --json
    """
    from tierlens.cli.tracking import must_be_ready
    from tierlens.sinks.configured import sink_for
    from tierlens.sinks.witness import incomplete_traces

    loaded = settings.load()
    must_be_ready(loaded)
    found = incomplete_traces(sink_for(loaded), limit)
    if as_json:
        print_json([asdict(one) for one in found])
    elif not found:
        typer.echo("No trace lacks spans.")
    else:
        columns = ("trace", "name", "began", "spans started", "stored")
        print_table(columns, [(o.trace_id, o.name, o.began, o.started or "", o.stored or "") for o in found])
    if found:
        raise typer.Exit(1)
