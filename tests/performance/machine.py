"""What the figures were taken on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.performance.probes.tracers import PEERS

_OURS = ("tierlens", "mlflow", "langgraph", "langchain-core", "orjson", "httpx")
_PACKAGE = {
    "openinference": "openinference-instrumentation-langchain",
    "traceloop": "opentelemetry-instrumentation-langchain",
}
_VERSIONS = """
import json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try: found[name] = metadata.version(name)
    except metadata.PackageNotFoundError: found[name] = "missing"
print(json.dumps(found))
"""


def environment(peers: Path | None) -> dict[str, Any]:
    """Processor, load, Python and the versions of everything that was compared."""
    found: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _OURS},
    }
    if peers is not None:
        names = [_PACKAGE.get(name, name) for name in PEERS] + ["langgraph", "langchain-core"]
        asked = subprocess.run([str(peers), "-c", _VERSIONS, *names], capture_output=True, text=True, check=True)
        found["peers"] = json.loads(asked.stdout)
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
