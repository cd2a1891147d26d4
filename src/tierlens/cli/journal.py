"""``tierlens journal``: the operator's view of what lies between the agents and MLflow."""

from __future__ import annotations

from typing import Final

from tierlens.cli.deadletter import deadletter
from tierlens.cli.journal_care import drain, incomplete, repair, verify
from tierlens.cli.journal_look import stat, tail
from tierlens.cli.output import group

journal: Final = group(
    """Look into the journal, and mend what is wrong in it.

    Examples:

      tierlens journal stat

      tierlens journal tail --follow

      tierlens journal drain

      tierlens journal deadletter list --json
    """
)
for command in (stat, tail, drain, repair, verify, incomplete):
    journal.command()(command)
journal.add_typer(deadletter, name="deadletter")
