"""The processes that faults are done to; each function here is one process's whole work."""
