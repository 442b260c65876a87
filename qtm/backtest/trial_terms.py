"""The terms of a run among a trial's parameters: other capital, costs, leverage or limits make another trial.

What is as usual is left out, so that a trial keeps its name when a term is added here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from qtm.market.instruments import Market
from qtm.risk.rules import GateLimits
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel
from qtm.trading.margin import MarginMode, margin_as_params

LIMITS: Final = "account.limits"
"""Stands for the limits of the gate; absent without one. See `qtm.backtest.trial_count` for how it counts."""
GATED: Final = "account.gated"
"""The same of trials recorded before limits were told apart."""

USUAL_BAND: Final = 0.01


def terms_as_params(
    *,
    cash: float,
    costs: Mapping[str, Mapping[str, float]],
    limits: str | None,
    band: float | None = USUAL_BAND,
) -> dict[str, float]:
    """Capital, the limits of the gate where there is one, and every cost and band that is not the usual one.

    Parameters
    ----------
    costs
        The cost model of each market as plain values.
    limits
        Digest of the limits (see `digest_of_limits`).
    """
    terms = {"account.cash": float(cash)}
    if limits is not None:
        terms[LIMITS] = float(int(limits[:12], 16))
    if band is not None and band != USUAL_BAND:
        terms["account.band"] = float(band)
    for market, charged in costs.items():
        usual = _usual_costs(market)._asdict()
        others = {name: float(value) for name, value in charged.items() if float(value) != usual[name]}
        terms |= {f"costs.{market}.{name}": value for name, value in others.items()}
    return terms


def terms_on_one_symbol(
    *,
    market: str,
    cash: float,
    costs: Mapping[str, float],
    limits: GateLimits | None,
    leverage: float,
    band: float | None = USUAL_BAND,
) -> dict[str, float]:
    """The same of a run on one symbol, and its `leverage` where it is a future (0.0 on spot)."""
    return {
        **margin_as_params(MarginMode.CROSS, {market: leverage} if leverage > 0.0 else {}),
        **terms_as_params(
            cash=cash,
            costs={market: costs},
            limits=None if limits is None else digest_of_limits([limits]),
            band=band,
        ),
    }


def digest_of_limits(sets: Iterable[GateLimits]) -> str:
    """Of all the different limits that orders of a run are judged by, whatever slack rounding gets."""
    numbers = {tuple(float(value) for value in one._replace(rounding=0.0)) for one in sets}
    return hashlib.sha256(repr(sorted(numbers)).encode()).hexdigest()[:16]


def _usual_costs(market: str) -> CostModel:
    return SPOT_COSTS if Market(market) is Market.SPOT else UM_COSTS
