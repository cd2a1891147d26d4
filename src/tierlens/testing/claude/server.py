"""The sockets: HTTP/1.1 with keep-alive on loopback, a thread a connection."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tierlens.testing.claude import exchange
from tierlens.testing.claude.api import MESSAGES, Api
from tierlens.testing.claude.exchange import Answer, Incoming, Streamed
from tierlens.testing.claude.faults import Fault
from tierlens.testing.claude.pace import Pace
from tierlens.testing.claude.refusal import Refusal, error_body
from tierlens.testing.claude.stream import encode, events

_log = logging.getLogger(__name__)
_DRAIN_BYTES: Final = 1 << 20
_STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "transfer-encoding": "chunked",
    "cache-control": "no-cache",
}


class ClaudeServer(ThreadingHTTPServer):
    """Serves an :class:`Api`; knows its open connections, so that stopping does not wait for idle clients."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int], api: Api, pace: Pace, *, tokens_per_delta: int, max_body_bytes: int
    ) -> None:
        self.api, self.pace = api, pace
        self.tokens_per_delta, self.max_body_bytes = tokens_per_delta, max_body_bytes
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Notes a connection and starts its thread."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection, its thread being done."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def hang_up(self, timeout_s: float) -> None:
        """Breaks all connections and waits, at most ``timeout_s``, until their threads are done."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no event; anything else is a fault of ours and is logged."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("the offline Claude endpoint failed on a request from %s", client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection and writes what the API says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ClaudeServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the ledger says what was asked."""

    def _serve(self) -> None:
        request_id = self.server.api.messages.new_id("req_01")
        try:
            going = self.server.api.handle(self._incoming(request_id))
        except Refusal as refusal:
            self.close_connection = True
            going = exchange.refused(refusal, request_id)
        if isinstance(going, Answer):
            self._send(going, request_id)
        elif isinstance(going, Streamed):
            self._stream(going, request_id)
        else:
            self._drop()

    def _incoming(self, request_id: str) -> Incoming:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Incoming(self.command, self.path, headers, self._body(headers), request_id)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            raise Refusal(411, "A Content-Length header is required.")
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise Refusal(400, "content-length: Input should be a valid integer")
        if int(length) > self.server.max_body_bytes:
            self._skip(int(length))
            raise Refusal(413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client left in the middle of its request")
        return body

    def _skip(self, length: int) -> None:
        """Reads past a body that is too large, so that the client gets to read the answer."""
        left = min(length, 4 * self.server.max_body_bytes)
        while left > 0 and (read := len(self.rfile.read(min(left, _DRAIN_BYTES)))):
            left -= read

    def _send(self, answer: Answer, request_id: str) -> None:
        """Waits as long as the answer would take to produce, then writes it in one piece."""
        self.server.pace.wait_for_answer(answer.output_tokens)
        headers = {
            "content-type": answer.content_type,
            "content-length": str(len(answer.body)),
            **answer.headers,
        }
        self.wfile.write(self._head(answer.status, headers, request_id) + answer.body)

    def _stream(self, streamed: Streamed, request_id: str) -> None:
        """Sends the events; the call is in the ledger before the last of them can be read."""
        *body, last = events(streamed.completion, self.server.tokens_per_delta)
        cut = streamed.fault.after_events if streamed.fault else None
        sent, whole = 0, False
        try:
            self.wfile.write(self._head(200, _STREAM_HEADERS | dict(streamed.headers), request_id))
            self.server.pace.wait_for_first_token()
            for event in body[:cut]:
                self.server.pace.wait_for_tokens(event.tokens)
                self._chunk(event.wire)
                sent += event.tokens
            whole = cut is None
        finally:
            self.server.api.messages.record(
                streamed.completion, request_id, MESSAGES, stream=True, sent=None if whole else sent
            )
        self._close_stream(last.wire, streamed.fault, request_id)

    def _close_stream(self, last: bytes, fault: Fault | None, request_id: str) -> None:
        """The last event, or what the fault puts in its place."""
        if fault is None:
            self._chunk(last)
        elif fault.status:
            self._chunk(encode("error", error_body(Refusal(fault.status, fault.message), request_id)))
        else:
            self._drop()
            return
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, wire: bytes) -> None:
        # An empty chunk would end the body, and hidden thinking has nothing to show.
        if wire:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(wire), wire))

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _head(self, status: int, headers: Mapping[str, str], request_id: str) -> bytes:
        """Status line and headers; written with the body, as two small packets would cost a round trip."""
        reason = self.responses.get(status, ("Error",))[0]
        common = {
            "date": self.date_time_string(),
            "request-id": request_id,
            "anthropic-organization-id": "offline",
        }
        if self.close_connection:
            common["connection"] = "close"
        lines = [
            f"HTTP/1.1 {status} {reason}",
            *(f"{name}: {value}" for name, value in {**common, **headers}.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
