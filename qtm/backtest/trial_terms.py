"""The terms of a run among a trial's parameters: other capital, other costs or a gate make another trial."""

from __future__ import annotations

from collections.abc import Mapping

from qtm.market.instruments import Market
from qtm.trading.costs import SPOT_COSTS, UM_COSTS


def terms_as_params(
    *, cash: float, costs: Mapping[str, Mapping[str, float]], gated: bool
) -> dict[str, float]:
    """Capital, a gate where there is one, and every cost that is not its market's usual one.

    Parameters
    ----------
    costs
        The cost model of each market as plain values.
    """
    terms = {"account.cash": float(cash)}
    if gated:
        terms["account.gated"] = 1.0
    for market, charged in costs.items():
        usual = (SPOT_COSTS if Market(market) is Market.SPOT else UM_COSTS)._asdict()
        others = {name: float(value) for name, value in charged.items() if float(value) != usual[name]}
        terms |= {f"costs.{market}.{name}": value for name, value in others.items()}
    return terms
