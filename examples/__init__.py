"""Programs to copy from; run them from the repository's root with ``python -m examples.<name>``."""
