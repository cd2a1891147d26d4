"""``python -m tests.faults``: see run.py. Workers do not import it, as they would any other main module."""

from __future__ import annotations

import sys

from tests.faults.run import main

sys.exit(main())
