"""What the operational database says about a day: executions, refusals, kills, and each gate's last word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from qtm.store.schema import decisions, fills, kills, openings, orders


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: signed base quantity, price, and the fee in quote currency.

    A fee paid in an asset that is neither base nor quote has no price here: it is in `other_fee`.
    """

    account: str
    strategy: str
    symbol: str
    qty: float
    price: float
    fee: float
    other_fee: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often one control refused the orders of a strategy on a symbol."""

    control: str
    strategy: str
    symbol: str
    count: int


@dataclass(frozen=True, slots=True)
class GateWord:
    """The newest decision of the day on a strategy's orders: trading state and limits it was judged under."""

    account: str
    strategy: str
    state: str
    limits_version: str
    decided_ms: int

    @property
    def tightened(self) -> bool:
        """Whether the lights of the risk models had tightened the limits, which their version then says."""
        return "x" in self.limits_version


@dataclass(frozen=True, slots=True)
class DayRecord:
    """Every execution up to the end of a day, oldest first, and what the gates said on that day.

    Attributes
    ----------
    refusals
        Of the day, most frequent first.
    kills
        In force at the end of the day, in words.
    gates
        One for each account and strategy that was judged on the day.
    openings
        Balances by asset of each account before its first order.
    """

    executions: tuple[Execution, ...]
    refusals: tuple[Refusal, ...] = ()
    kills: tuple[str, ...] = ()
    gates: tuple[GateWord, ...] = ()
    openings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def refusals_by_control(self) -> dict[str, int]:
        """Refusals of each control over all strategies and symbols."""
        found: Counter[str] = Counter()
        for one in self.refusals:
            found[one.control] += one.count
        return dict(sorted(found.items()))


def read_day(connection: Connection, start_ms: int, end_ms: int) -> DayRecord:
    """The record of the day [start_ms, end_ms), over all accounts of the database."""
    mine = select(
        fills.c.account, orders.c.strategy, fills.c.symbol, fills.c.side, fills.c.qty, fills.c.price,
        fills.c.fee, fills.c.fee_asset, fills.c.ts_ms,
    ).join(orders, orders.c.client_order_id == fills.c.client_order_id)  # fmt: skip
    rows = connection.execute(mine.where(fills.c.ts_ms < end_ms).order_by(fills.c.ts_ms, fills.c.trade_id))
    held = select(kills).where(kills.c.released_ns.is_(None), kills.c.latched_ns < end_ms * 1_000_000)
    balances: dict[str, dict[str, float]] = {}
    for account, asset, qty in connection.execute(
        select(openings.c.account, openings.c.asset, openings.c.qty)
    ):
        balances.setdefault(account, {})[asset] = float(Decimal(qty))
    return DayRecord(
        executions=tuple(_execution(row) for row in rows),
        refusals=_refusals(connection, start_ms, end_ms),
        kills=tuple(
            f"{row.scope} {row.target}".strip() + f" by {row.actor}: {row.reason}"
            for row in connection.execute(held)
        ),
        gates=_gates(connection, start_ms, end_ms),
        openings=balances,
    )


def _refusals(connection: Connection, start_ms: int, end_ms: int) -> tuple[Refusal, ...]:
    judged = select(decisions.c.strategy, decisions.c.symbol, decisions.c.controls).where(
        decisions.c.verdict == "REFUSED", decisions.c.decided_ms >= start_ms, decisions.c.decided_ms < end_ms
    )
    refused: Counter[tuple[str, str, str]] = Counter()
    for strategy, symbol, controls in connection.execute(judged):
        refused.update((control, strategy, symbol) for control in set(controls.split()))
    ordered = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Refusal(*who, count) for who, count in ordered)


def _gates(connection: Connection, start_ms: int, end_ms: int) -> tuple[GateWord, ...]:
    newest = (
        select(func.max(decisions.c.decision_id))
        .where(decisions.c.decided_ms >= start_ms, decisions.c.decided_ms < end_ms)
        .group_by(decisions.c.account, decisions.c.strategy)
    )
    rows = connection.execute(
        select(decisions.c.account, decisions.c.strategy, decisions.c.decided_ms, decisions.c.record)
        .where(decisions.c.decision_id.in_(newest))
        .order_by(decisions.c.account, decisions.c.strategy)
    )
    words = []
    for account, strategy, decided_ms, record in rows:
        said = json.loads(record)
        states = {found["control"]: found["measured"] for found in said["findings"]}
        version = said["limits_version"]
        words.append(GateWord(account, strategy, states.get("KS-03", ""), version, decided_ms))
    return tuple(words)


def _execution(row: Any) -> Execution:
    account, strategy, symbol, side, qty, price, fee, asset, ts_ms = row
    paid = Decimal(fee)
    known = symbol.endswith(asset) or symbol.startswith(asset)
    in_quote = paid if symbol.endswith(asset) else paid * Decimal(price)
    return Execution(
        account=account,
        strategy=strategy,
        symbol=symbol,
        qty=float(Decimal(qty)) * (1.0 if side == "BUY" else -1.0)
        - (float(paid) if symbol.startswith(asset) and not symbol.endswith(asset) else 0.0),
        price=float(Decimal(price)),
        fee=float(in_quote) if known else 0.0,
        other_fee="" if known or not paid else f"{paid:f} {asset}",
        ts_ms=ts_ms,
    )
