"""Does what one section tells its reader to do, block by block, in the working directory.

Blocks come as JSON on standard input. Python blocks share their names, as in a notebook; a block whose first
line names a file is written to it. Ends at the first block that goes wrong, with a traceback into the page.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any


def main() -> None:
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    printed = ""
    for block in json.load(sys.stdin):
        if "output" in block["marks"]:
            check_output(block, printed)
        elif "not run" not in block["marks"]:
            printed = do(block, vars(module))


def do(block: dict[str, Any], names: dict[str, Any]) -> str:
    """What the block printed."""
    if block["file"]:
        path = Path(block["file"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"], encoding="utf-8")
        return ""
    if block["language"] == "python":
        return run_python(block, names)
    return run_bash(block) if block["language"] == "bash" else ""


def run_python(block: dict[str, Any], names: dict[str, Any]) -> str:
    wanted = block["marks"].get("given")
    for name in wanted.split(", ") if wanted else ():
        # Imported where it is needed: a section of shell commands should not wait for langgraph.
        names[name] = getattr(importlib.import_module("tests.docs.given"), name)()
    code = compile("\n" * (block["line"] - 1) + block["text"], block["where"].partition(":")[0], "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    sys.stdout.write(printed.getvalue())
    return printed.getvalue()


def run_bash(block: dict[str, Any]) -> str:
    command = ["bash", "-euo", "pipefail", "-c", block["text"]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    expected = int(block["marks"].get("exit", 0))
    if done.returncode != expected:
        sys.exit(f"{block['where']}: exit status {done.returncode}, expected {expected}")
    return done.stdout


def check_output(block: dict[str, Any], printed: str) -> None:
    for line in block["text"].splitlines():
        pattern = ".*".join(re.escape(piece) for piece in line.split("…"))
        if not re.search(rf"^\s*{pattern}\s*$", printed, re.MULTILINE):
            sys.exit(f"{block['where']}: {line!r} was not printed, but:\n{printed}")


if __name__ == "__main__":
    main()
