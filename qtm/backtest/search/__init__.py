"""Which combinations of parameters to run next, and what was found so far."""
