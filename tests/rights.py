"""Commands run as somebody who may not look everywhere, which root may."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

WITHOUT_RIGHTS: Final = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="root without its rights takes setpriv")
