"""The durable middle: spans become lines of local segment files before anything else happens to them."""

from tierlens.journal.writer import Counts, Journal

__all__ = ["Counts", "Journal"]
