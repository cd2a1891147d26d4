"""Ports to listen on."""

from __future__ import annotations

import errno
import socket
from typing import Final

from tierlens.errors import ServerNotStarted

# Under 1024 a port may need a permission that the next one needs not.
_TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        ServerNotStarted: the host is not this machine's.
    """
    return _bound(host, port) is not None


def free_port(host: str, first: int, tries: int = 100) -> int:
    """The first free port from ``first`` on; any at all where ``first`` is 0.

    Raises:
        ServerNotStarted: there is none, or the host is not this machine's.
    """
    for port in range(first, first + tries):
        if (found := _bound(host, port)) is not None:
            return found
    raise ServerNotStarted(f"no free port on {host} from {first} to {first + tries - 1}")


def _bound(host: str, port: int) -> int | None:
    try:
        # The option says what the server will say: a port in TIME_WAIT is free.
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno in _TAKEN:
            return None
        raise ServerNotStarted(f"{host!r} is no address of this machine: {error.strerror}") from error
