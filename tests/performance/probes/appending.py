"""Microseconds to encode and append a span: the journal's own benchmark."""

from __future__ import annotations

from tests.performance.bench_journal import main

if __name__ == "__main__":
    main()
