"""The fast path: large CVaR programmes solved on the scenarios that matter, with a proven gap.

A few in-out cutting planes find the tails (`cuts`), an interior-point method solves the programme on bands of
scenarios around the VaRs (`interior`), and a full pass checks it and grows the bands (`hybrid`). Near a known
optimum a few simplex pivots do (`warm`). The lower bound is a linear programme over valid scenario weights,
the upper bound the objective of a feasible portfolio on every scenario. `docs/explanation/cvar.md` tells why
this works.
"""
