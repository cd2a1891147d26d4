"""An HTTP server that answers what it is told to: refusals, delays, cut connections, lies.

with HttpStub(Reply(503, headers={"Retry-After": "2"}), Reply(close=True)) as stub:
    ...                       # the first request gets the 503, the second no answer, all others 200
    stub.requests[0].body
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer.

    Attributes:
        status, headers, body: the answer; a ``Content-Length`` in ``headers`` may lie.
        wait: answer once this is set; until then the client waits. Set it before the stub is closed.
        close: take the request, act on it, and close the connection without an answer.
        pieces: sent instead of ``body``, piece by piece, for as long as they come and somebody listens.
        lie: answer well, but store nothing.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait: threading.Event | None = None
    close: bool = False
    pieces: Iterator[bytes] | None = None
    lie: bool = False


OK = Reply()


class HttpStub:
    """Answers the replies given, one a request, then ``otherwise``; on any free port, or the one given."""

    def __init__(self, *replies: Reply, otherwise: Reply = OK, port: int = 0) -> None:
        self.requests: list[Recorded] = []
        self._replies, self._otherwise = iter(replies), otherwise
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def reply_to(self, request: Recorded) -> Reply:
        """The answer to one request; a subclass may act on it."""
        return self.next_reply()

    def next_reply(self) -> Reply:
        with self._lock:
            return next(self._replies, self._otherwise)

    def then(self, *replies: Reply, otherwise: Reply = OK) -> None:
        """Replace what is still to be answered."""
        with self._lock:
            self._replies, self._otherwise = iter(replies), otherwise

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                request = Recorded(
                    self.command,
                    self.path,
                    {k.lower(): v for k, v in self.headers.items()},
                    _body(self),
                )
                stub.requests.append(request)
                _send(self, stub.reply_to(request))

            do_GET = do_POST = do_PUT = do_PATCH = answer

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the requests are kept, not printed."""

        return Handler


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    body = b""
    while size := int(handler.rfile.readline().strip() or b"0", 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    if reply.wait is not None:
        reply.wait.wait()
    if reply.close:
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    length = {} if reply.pieces else {"Content-Length": str(len(reply.body))}
    for name, value in {**length, **reply.headers}.items():
        handler.send_header(name, value)
    if reply.pieces:
        handler.close_connection = True
        handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        handler.wfile.write(reply.body)
        for piece in reply.pieces or ():
            handler.wfile.write(piece)
    except OSError:
        # The client has heard enough and gone away.
        handler.close_connection = True
