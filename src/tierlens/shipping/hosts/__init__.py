"""Who runs a shipper: a thread of the agent's process, a process of its own, somebody else altogether."""
