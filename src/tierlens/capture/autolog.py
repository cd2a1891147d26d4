"""MLflow's own LangChain tracer, where it is on as well: two tracers would store every trace twice.

mlflow is looked at only where the application has imported it; it is never imported here.
"""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("tierlens")


def take_over() -> bool:
    """Turn ``mlflow.langchain.autolog()`` off if it is on, and say so. Returns whether it was on."""
    utils = sys.modules.get("mlflow.utils.autologging_utils")
    if utils is None or utils.autologging_is_disabled("langchain"):
        return False
    sys.modules["mlflow.langchain"].autolog(disable=True, silent=True)
    log.warning(
        "tierlens: mlflow.langchain.autolog() is on as well. It has been turned off, so that no trace is stored "
        "twice; to keep it instead of tierlens, set TIERLENS_ENABLED=false"
    )
    return True
