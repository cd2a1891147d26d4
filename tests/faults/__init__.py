"""Faults a span must survive, each brought about for real: ``make faults``.

Every worker tells its parent, down a pipe, the id and the digest of each span: before the append that it will
come, and only after the append has returned that it was accepted. The verdict compares what was accepted with
what a real MLflow stores.
"""
