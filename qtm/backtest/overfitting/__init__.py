"""Honesty: how much of a backtest's result is luck, and whether the strategy passes the gates.

`sharpe` corrects one Sharpe ratio for its length, its tails and the number of trials; `pbo` asks whether the
best of many trials stays good out of sample; `reality_check` whether it beats a benchmark after the search;
`cross_validation` and `walk_forward` keep the test apart from what was learnt; `monte_carlo`, `permutation`
and `stability` shake the returns, the signal and the parameters. `verdict` holds it all against the gates.
"""
