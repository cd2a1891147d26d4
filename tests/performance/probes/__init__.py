"""What is measured, each in a process of its own that prints one JSON line."""
