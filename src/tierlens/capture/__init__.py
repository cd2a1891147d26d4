"""Framework in, span out: everything that runs on the agent's thread."""
