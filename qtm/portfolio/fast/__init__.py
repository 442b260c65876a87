"""The fast path: large CVaR programmes solved on the scenarios that matter, with a proven gap.

A few in-out cutting planes find the tail (`master`), an interior-point method solves the Rockafellar-Uryasev
programme on a band of scenarios around the VaR (`band`), and a full pass checks it and grows the band
(`hybrid`). The lower bound is a linear programme over valid scenario weights, the upper bound the true
CVaR of a feasible portfolio. `docs/explanation/cvar.md` tells why this works.
"""
