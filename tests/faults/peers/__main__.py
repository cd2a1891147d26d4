"""``python -m tests.faults.peers``: see run.py."""

from __future__ import annotations

import sys

from tests.faults.peers.run import main

sys.exit(main())
