"""Indicators: one incremental definition for the backtest, the sweep and the live stream."""
