"""``python -m tierlens.testing.claude``: the endpoint as a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tierlens.testing.claude.endpoint import ClaudeEndpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until told to stop; prints the base URL as its first line."""
    options = _parser().parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    endpoint = ClaudeEndpoint(
        port=options.port,
        ledger_path=options.ledger,
        tokens_per_s=options.tokens_per_s,
        first_token_s=options.first_token_s,
        batch_s=options.batch_s,
    )
    with endpoint:
        print(endpoint.base_url, flush=True)
        stopped.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tierlens.testing.claude", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--ledger", type=Path, help="file for the ledger; also served at GET /ledger")
    parser.add_argument("--tokens-per-s", type=float, help="output tokens a second; as fast as possible by default")
    parser.add_argument("--first-token-s", type=float, default=0.0, help="seconds before the first token")
    parser.add_argument("--batch-s", type=float, default=0.0, help="seconds after which a message batch ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
