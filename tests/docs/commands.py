"""Stand-ins for the commands that a page names and that a test should not wait for.

``make`` only says what it would do. ``tierlens`` runs, unless the command would go on until it is stopped:
then its arguments are read as the command line reads them. ``python -m examples.…`` has to exist; the
examples have tests of their own.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.docs.pages import ROOT


def install(folder: Path) -> Path:
    """A folder of stand-ins to put first on PATH."""
    folder.mkdir()
    python = shlex.quote(sys.executable)
    scripts = {
        "make": f'exec {shutil.which("make")} --no-print-directory --dry-run -C {shlex.quote(str(ROOT))} "$@"',
        "tierlens": f'exec {python} -m tests.docs.commands tierlens "$@"',
        "python": f'case "$*" in "-m examples."*) exec {python} -m tests.docs.commands example "$2" ;; esac\n'
        f'exec {python} "$@"',
    }
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
    return folder


def goes_on(arguments: list[str]) -> bool:
    """Whether a tierlens command ends only when it is told to."""
    if arguments[:2] == ["journal", "tail"]:
        return not {"-f", "--follow"}.isdisjoint(arguments)
    return arguments[:1] in (["up"], ["ui"]) or (arguments[:1] in (["ship"], ["tail"]) and "--once" not in arguments)


def main(kind: str, *arguments: str) -> None:
    if kind == "example":
        if find_spec(arguments[0]) is None:
            sys.exit(f"there is no module {arguments[0]}")
        return
    from tierlens import cli

    if goes_on(list(arguments)):
        cli.command(arguments[0]).make_context(arguments[0], list(arguments[1:]))
        return
    sys.argv = ["tierlens", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
