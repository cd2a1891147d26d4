"""How long ``import tierlens`` takes once langgraph is imported, and whether it imports mlflow.

Names are imported when they are first used, so the time until those that every agent uses are there is taken too.
"""

from __future__ import annotations

import json
import sys
import time

from langgraph.graph import StateGraph

before = set(sys.modules)
start = time.perf_counter()
import tierlens  # noqa: E402  # what comes before it is what is measured against

took_ms = (time.perf_counter() - start) * 1e3
used = (tierlens.init, tierlens.MlflowCallbackHandler, tierlens.agent, tierlens.metric)
ready_ms = (time.perf_counter() - start) * 1e3
print(
    json.dumps(
        {
            "import_ms": took_ms,
            "ready_ms": ready_ms,
            "mlflow_imported": "mlflow" in sys.modules,
            "modules": len(set(sys.modules) - before),
            "names": [StateGraph.__name__, *map(str, used)],
        }
    )
)
