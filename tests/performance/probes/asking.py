"""Asks the demo's questions of the offline Claude, traced: python -m tests.performance.probes.asking LEDGER"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import tierlens
from examples.brand_analytics.app import run
from examples.brand_analytics.claude import claude
from examples.brand_analytics.graph import build
from examples.brand_analytics.questions import QUESTIONS


def main() -> None:
    lens = tierlens.init(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    with claude(Path(sys.argv[1])) as (llm, _):
        answers = run(QUESTIONS, graph=build(llm), callbacks=lambda question: [lens.callback(brand=question.brand)])
    report = lens.flush(timeout_s=120)
    lens.close()
    print(json.dumps({"answers": len(answers), "pending": report.pending}))


if __name__ == "__main__":
    main()
