"""The rows, as the table of faults has them."""

from __future__ import annotations

from tests.faults import kills
from tests.faults.rows import Row

ROWS = (
    Row(1, "kill -9, shipper idle", "0 lost, adopted ≤ 5 s", kills.idle),
    Row(2, "kill -9 inside a write of 64 KB, 1 MB", "0 accepted lost, ≤ 1 torn line a kill", kills.inside_a_write),
    Row(3, "kill -9 during a model call", "shown ≤ 10 s: ERROR, process died, prompt", kills.inside_a_model_call),
    Row(9, "parent dies, child lives", "parent's segment adopted ≤ 10 s", kills.only_the_parent),
)
