"""What the operational database says about a day: executions by strategy, refusals, kills in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from qtm.store.schema import decisions, fills, kills, orders


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: signed base quantity, price, and the fee in quote currency.

    A fee paid in an asset that is neither base nor quote has no price here: it is in `other_fee`.
    """

    strategy: str
    symbol: str
    qty: float
    price: float
    fee: float
    other_fee: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class DayRecord:
    """Every execution up to the end of a day, oldest first; the day's refusals by control; kills in force."""

    executions: tuple[Execution, ...]
    refusals: dict[str, int]
    kills: tuple[str, ...]


def read_day(connection: Connection, start_ms: int, end_ms: int) -> DayRecord:
    """The record of the day [start_ms, end_ms), over all accounts of the database."""
    mine = select(
        orders.c.strategy, fills.c.symbol, fills.c.side, fills.c.qty, fills.c.price, fills.c.fee,
        fills.c.fee_asset, fills.c.ts_ms,
    ).join(orders, orders.c.client_order_id == fills.c.client_order_id)  # fmt: skip
    rows = connection.execute(mine.where(fills.c.ts_ms < end_ms).order_by(fills.c.ts_ms, fills.c.trade_id))
    refused: Counter[str] = Counter()
    judged = select(decisions.c.controls).where(
        decisions.c.verdict == "REFUSED", decisions.c.decided_ms >= start_ms, decisions.c.decided_ms < end_ms
    )
    for controls in connection.execute(judged).scalars():
        refused.update(set(controls.split()))
    held = select(kills).where(kills.c.released_ns.is_(None), kills.c.latched_ns < end_ms * 1_000_000)
    return DayRecord(
        executions=tuple(_execution(row) for row in rows),
        refusals=dict(sorted(refused.items())),
        kills=tuple(
            f"{row.scope} {row.target}".strip() + f" by {row.actor}: {row.reason}"
            for row in connection.execute(held)
        ),
    )


def _execution(row: Any) -> Execution:
    strategy, symbol, side, qty, price, fee, asset, ts_ms = row
    paid = Decimal(fee)
    known = symbol.endswith(asset) or symbol.startswith(asset)
    in_quote = paid if symbol.endswith(asset) else paid * Decimal(price)
    return Execution(
        strategy=strategy,
        symbol=symbol,
        qty=float(Decimal(qty)) * (1.0 if side == "BUY" else -1.0)
        - (float(paid) if symbol.startswith(asset) and not symbol.endswith(asset) else 0.0),
        price=float(Decimal(price)),
        fee=float(in_quote) if known else 0.0,
        other_fee="" if known or not paid else f"{paid:f} {asset}",
        ts_ms=ts_ms,
    )
