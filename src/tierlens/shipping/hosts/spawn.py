"""Starting a process that ships for this one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIP_LOG
from tierlens.negotiated import VARIABLE

_MODULE: Final = "tierlens.shipping.hosts.child"
_PYTHON: Final = re.compile(r"\.?(python|pypy|graalpy)", re.IGNORECASE)
_DELIVERY: Final = (
    *("MLFLOW_TRACKING_", "MLFLOW_WORKSPACE", "MLFLOW_ARTIFACT_LOCATION"),
    *("TIERLENS_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "TIERLENS_SHIP_REDACTOR"),
    *("TIERLENS_METRICS_", "OTEL_EXPORTER_OTLP_METRICS_"),
    "TIERLENS_DELIVERY_DELAY_S",
    VARIABLE,
)
# A shipper that waits for a prompt, or that dies of a deprecation, delivers nothing.
_NOT_PASSED_ON: Final = frozenset({"PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP"})


@dataclass(frozen=True, slots=True)
class Beginnings:
    """What a shipping process is started with, whatever becomes of the host's own meanwhile.

    Attributes:
        environment: the settings as variables. Credentials are here, and never among the arguments.
        folder: where relative addresses, such as ``sqlite:///mlflow.db``, begin.
        version: of this package; after an upgrade, who ships by the old one is to be replaced.
    """

    environment: Mapping[str, str]
    folder: Path
    version: str

    @property
    def address(self) -> str:
        return self.environment.get("MLFLOW_TRACKING_URI", "")

    @property
    def destination(self) -> str:
        """Stands for all that decides where spans go and how they get in, credentials and version included."""
        deciding = sorted((name, value) for name, value in self.environment.items() if name.startswith(_DELIVERY))
        where = str(self.folder) if self.address.startswith("sqlite") else ""
        return hashlib.sha256(repr((self.version, where, deciding)).encode()).hexdigest()[:16]


def beginnings(environment: Mapping[str, str], version: str = "", path: Sequence[str] | None = None) -> Beginnings:
    """Those of this process, now.

    Args:
        environment: this process's own, with the settings as variables.
        version: of this package.
        path: where this process finds its modules; a host may have found tierlens by a way of its own.
    """
    folder = Path("/")
    with suppress(FileNotFoundError):
        folder = Path.cwd()
    kept = {name: value for name, value in environment.items() if name not in _NOT_PASSED_ON}
    modules = [str(folder / entry) for entry in (sys.path if path is None else path)]
    return Beginnings({**kept, "PYTHONPATH": os.pathsep.join(modules)}, folder, version)


def interpreter(executable: str | None = None) -> str:
    """The Python that runs this process.

    Raises:
        OSError: there is none: the program is frozen, or Python is embedded in another one. Whatever
            ``sys.executable`` names there must not be started: it would be the host once more.
    """
    found = (sys.executable if executable is None else executable) or ""
    if getattr(sys, "frozen", False) or not _PYTHON.match(Path(found).name):
        raise OSError(errno.ENOENT, "this process is not run by a Python interpreter of its own", found)
    return found


def spawn(directory: Path, lock: FileLock | None, begin: Beginnings, python: str) -> subprocess.Popen[bytes]:
    """Start a process that ships ``directory`` and holds the lock from its first moment on; without one, it waits for
    whoever ships to make way.

    It leads a session of its own, so that what ends the host's terminal or process group does not end it, and
    shares no open file with the host but the lock.

    Raises:
        OSError: it cannot be started.
    """
    shared = () if lock is None else (lock.descriptor,)
    with open(directory / SHIP_LOG, "ab", opener=_private) as log:
        return subprocess.Popen(  # noqa: S603  # the interpreter that runs this very process
            [python, "-P", "-m", _MODULE, str(directory), "".join(map(str, shared)), begin.destination],
            env=dict(begin.environment),
            cwd=begin.folder if begin.folder.is_dir() else directory,
            stdin=subprocess.DEVNULL,
            # Not the host's own: whoever waits for the end of its output would wait for the child's as well.
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=shared,
            start_new_session=True,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
