"""The proofs of a strategy, whatever its kind: see `qtm.backtest.look_ahead` for what is proven and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtm.backtest.account.proofs import check_account_strategy
from qtm.backtest.look_ahead import Proof, check_strategy
from qtm.backtest.own_knowledge import brings_along
from qtm.backtest.tape.proofs import check_order_strategy
from qtm.strategies.contract import StepStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy


def prove(strategy: Strategy, params: Mapping[str, Any] | None = None) -> Proof:
    """Run every proof that the strategy's kind allows, and read what its source brings along.

    Raises
    ------
    StrategyError
        When the parameters are out of range, or the strategy does not compile or fails.
    """
    if isinstance(strategy, StepStrategy):
        proof = check_strategy(strategy, params)
    elif isinstance(strategy, OrderStrategy):
        proof = check_order_strategy(strategy, params)
    else:
        proof = check_account_strategy(strategy, params)
    return Proof((*proof.findings, brings_along(strategy)))
