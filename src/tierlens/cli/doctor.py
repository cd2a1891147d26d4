"""``tierlens doctor``: what is wrong with a set-up, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import typer

from tierlens.cli.output import AsJson, print_json, print_table

_MARKS: Final = {"ok": "✓ ok", "warn": "! warn", "fail": "✗ fail"}


def doctor(as_json: AsJson = False) -> None:
    """Say what is wrong with a set-up, and how to mend it.

    Looks at the settings, config/, the journal with its disk and file system, the MLflow server or database,
    its permissions, the brands' experiments, the clock, and who delivers. Nothing is changed. The exit code is
    1 if anything would keep traces from being stored.

    Examples:

      tierlens doctor

      MLFLOW_TRACKING_URI=http://mlflow:5000 tierlens doctor --json
    """
    from tierlens.cli.diagnosis import diagnose

    found = list(diagnose())
    failed = [finding for finding in found if finding.status == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(finding) for finding in found]})
    else:
        rows = [(_MARKS[finding.status], finding.subject, finding.found, finding.mend) for finding in found]
        print_table(("", "what", "found", "how to mend it"), rows)
    if failed:
        raise typer.Exit(1)
