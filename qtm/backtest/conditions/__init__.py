"""What many runs of one strategy share: market, capital and costs, for every kind of strategy.

Sweeps, examinations and walk-forwards are written against `contract.Conditions` and do not ask what kind
they run: `bars` has one symbol for a step strategy, `account` many symbols of one account for steps,
allocators and Python strategies, `tape` the events of one symbol for order strategies.
"""
