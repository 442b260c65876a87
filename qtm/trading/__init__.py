"""What every run shares: order words, the cost model, sizing, and the sub-book a strategy trades on.

The backtest engine, the live stream and the paper exchange import the same functions from here, which is why
their orders agree.
"""
