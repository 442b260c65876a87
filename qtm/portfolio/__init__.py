"""Portfolio construction: scenarios, the CVaR optimiser and position sizing."""
