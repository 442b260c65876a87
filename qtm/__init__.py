"""Quantum Trading Matrix: the trading domain, free of any orchestrator or stream engine."""
