"""The backtest engine, its sweeps, and what they can and cannot prove."""
