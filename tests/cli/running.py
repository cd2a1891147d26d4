"""The real command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tierlens(folder: Path, *arguments: str, **variables: str) -> Ran:
    """``tierlens`` in a folder, with no variables of tierlens's or MLflow's but those given."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TIERLENS_", "MLFLOW_"))}
    run = subprocess.run(
        # Not ``-m``, with which Python would find the folder's modules by itself.
        [sys.executable, "-P", Path(sys.executable).with_name("tierlens"), *arguments],
        cwd=folder,
        env={**environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ran(run.returncode, run.stdout, run.stderr)
