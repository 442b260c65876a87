"""Quantum Trading Matrix: the trading domain, free of any orchestrator or stream engine.

`qtm.research` is where notebooks and scripts begin: `from qtm.research import backtest`.
"""
