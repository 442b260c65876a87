"""What limited live trading has used of its caps (TD-07), counted in the journal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from qtm.clock import iso_utc
from qtm.risk.limited import DAY_MS, LimitedLive, day_of
from qtm.settings import LimitedSettings
from qtm.store.schema import fills, orders, runs
from qtm.trading.orders import Purpose

LIMITED_RUN = "limited"
"""Where a run's settings on record say what caps it trades under."""


def limited_terms(limited: LimitedLive) -> dict[str, Any]:
    """The caps of a run for its settings on record."""
    caps = limited.caps.model_dump(mode="json")
    return {"caps": caps, "since_ms": limited.since_ms, "until_ms": limited.until_ms}


def orders_of_day(connection: Connection, account: str, strategy: str, ts_ms: int) -> int:
    """Orders towards a target that the strategy's decisions of that UTC day have led to, filled or not."""
    query = select(func.count()).where(*_of_day(account, strategy, ts_ms))
    return int(connection.execute(query).scalar_one())


def limited_use(connection: Connection, account: str, now_ms: int) -> list[dict[str, Any]]:
    """Used and allowed of every cap, for every limited run of the account that has not ended."""
    query = select(runs).where(runs.c.account == account, runs.c.ended_ms.is_(None))
    terms = [(row, json.loads(row.settings).get(LIMITED_RUN)) for row in connection.execute(query)]
    return [_use(connection, row, held, now_ms) for row, held in terms if held is not None]


def _use(connection: Connection, run: Any, held: dict[str, Any], now_ms: int) -> dict[str, Any]:
    caps = LimitedSettings.model_validate(held["caps"])
    sent = connection.execute(
        select(orders.c.qty, orders.c.price).where(*_of_day(run.account, run.strategy, now_ms))
    ).all()
    largest = max((Decimal(qty) * Decimal(price or 0) for qty, price in sent), default=Decimal(0))
    days = (now_ms - held["since_ms"]) / DAY_MS
    return {
        "run_id": run.run_id,
        "strategy": run.strategy,
        "until": iso_utc(held["until_ms"]),
        "instruments": _of(len(run.symbols.split()), caps.max_instruments),
        "order value today": _of(largest, caps.max_order_value),
        "position value": _of(_largest_position(connection, run), caps.max_position_value),
        "orders today": _of(len(sent), caps.max_orders_per_day),
        "days": _of(f"{days:.1f}", caps.max_days),
    }


def _of(used: Decimal | int | str, allowed: Decimal | int) -> dict[str, str]:
    return {
        "used": f"{used.normalize():f}" if isinstance(used, Decimal) else str(used),
        "allowed": str(allowed),
    }


def _largest_position(connection: Connection, run: Any) -> Decimal:
    """The largest of the strategy's positions before fees, each at the price of its last execution."""
    query = (
        select(fills.c.symbol, fills.c.side, fills.c.qty, fills.c.price)
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .where(fills.c.account == run.account, orders.c.strategy == run.strategy)
        .order_by(fills.c.ts_ms, fills.c.trade_id)
    )
    held: dict[str, Decimal] = {}
    last: dict[str, Decimal] = {}
    for symbol, side, qty, price in connection.execute(query):
        held[symbol] = held.get(symbol, Decimal(0)) + (Decimal(qty) if side == "BUY" else -Decimal(qty))
        last[symbol] = Decimal(price)
    return max((abs(qty) * last[symbol] for symbol, qty in held.items()), default=Decimal(0))


def _of_day(account: str, strategy: str, ts_ms: int) -> tuple[Any, ...]:
    start_ms, end_ms = day_of(ts_ms)
    return (
        orders.c.account == account,
        orders.c.strategy == strategy,
        orders.c.purpose != Purpose.PROTECTION.value,
        orders.c.decided_ms >= start_ms,
        orders.c.decided_ms < end_ms,
    )
