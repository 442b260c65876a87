"""Scenarios of the next period: from closes to joint returns, by the model of choice, with their record."""
