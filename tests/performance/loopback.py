"""A server on loopback that answers 200 to anything: where the peers deliver to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What langsmith and opik ask for before they send.
_BODY = (
    b'{"id":"x","version":"0.12.0","instance_flags":{},"batch_ingest_config":{"use_multipart_endpoint":true,'
    b'"size_limit":100,"size_limit_bytes":20971520,"scale_up_nthreads_limit":16,"scale_up_qsize_trigger":1000}}'
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._read()
        body = b"" if "v1/traces" in self.path else _BODY
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_PATCH = do_POST

    def _read(self) -> None:
        if length := int(self.headers.get("content-length") or 0):
            self.rfile.read(length)
        elif self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline().strip() or b"0", 16):
                self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def loopback() -> Iterator[str]:
    """The server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
