"""The proofs of a strategy, whatever its kind: see `qtm.backtest.look_ahead` for what is proven and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtm.backtest.account.proofs import check_account_strategy
from qtm.backtest.look_ahead import Proof, check_strategy
from qtm.backtest.tape.proofs import check_order_strategy
from qtm.strategies.contract import StepStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy


def prove(strategy: Strategy, params: Mapping[str, Any] | None = None) -> Proof:
    """Run every proof that the strategy's kind allows.

    Raises
    ------
    StrategyError
        When the parameters are out of range, or the strategy does not compile or fails.
    """
    if isinstance(strategy, StepStrategy):
        return check_strategy(strategy, params)
    if isinstance(strategy, OrderStrategy):
        return check_order_strategy(strategy, params)
    return check_account_strategy(strategy, params)
