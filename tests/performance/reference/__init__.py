"""The reference workload, byte for byte as every tracer is measured with; not formatted, not linted."""
