"""tierlens."""
