"""A service with a graph behind HTTP: ``python -m tests.capture.service <journal> [<tracking uri>]``.

It prints its port and serves until stdin closes.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tierlens
from tests.capture.graphs import graph


class Service(BaseHTTPRequestHandler):
    graph: Any

    def do_POST(self) -> None:
        inputs = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with tierlens.continue_trace(self.headers):
            answer = json.dumps(self.graph.invoke(inputs)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


def main() -> None:
    shipping = {"tracking_uri": sys.argv[2]} if sys.argv[2:] else {"shipper": "external"}
    lens = tierlens.init(journal_dir=sys.argv[1], brand="Fabhalta", **shipping)
    Service.graph = lens.attach(graph(retrieve=lambda state: {"notes": ["found"]}).compile(name="knowledge"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()
    lens.close(timeout_s=30)


if __name__ == "__main__":
    main()
