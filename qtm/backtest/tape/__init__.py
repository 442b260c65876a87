"""The orders-and-trades engine: strategies that place and cancel orders, on trades, depth and bars."""
