"""The one composition root: settings and policies in, running parts out; and the one Lens of a process."""

from __future__ import annotations

from tierlens.lens.lens import About, Lens, Off
from tierlens.lens.running import current_trace_url, init, running

__all__ = ["About", "Lens", "Off", "current_trace_url", "init", "running"]
