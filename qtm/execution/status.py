"""What an account is doing, read from the store alone: works while the stream hangs or is dead."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from qtm.clock import Clock, iso_utc
from qtm.execution.journal import Journal
from qtm.execution.limited_use import limited_use
from qtm.store.schema import decisions, equity_marks, fills, kills, orders, runs
from qtm.trading.orders import OrderStatus

SILENT_AFTER_MS = 5000
"""A run without a heartbeat for this long is not running, whatever its state says."""


def account_status(journal: Journal, clock: Clock) -> dict[str, Any]:
    """Runs, kills in force, used caps, order and gate counters, net traded quantities, what is still open."""
    account = journal.account
    with journal.database.read() as connection:
        return {
            "account": account,
            "time": iso_utc(clock.now_ms()),
            "runs": _runs(connection, account, clock.now_ms()),
            "kills": _kills(connection, journal),
            "orders": _counts(connection, account),
            "gate": _gate(connection, account),
            "limited": limited_use(connection, account, clock.now_ms()),
            "open_orders": _open_orders(connection, account),
            "traded": _traded(connection, account),
            "equity": _equity(connection, account),
        }


def _runs(connection: Connection, account: str, now_ms: int) -> list[dict[str, Any]]:
    query = select(runs).where(runs.c.account == account).order_by(runs.c.started_ms.desc()).limit(5)
    return [
        {
            "run_id": row.run_id,
            "strategy": row.strategy,
            "symbols": row.symbols.split(),
            "state": row.state,
            "alive": row.ended_ms is None and now_ms - row.heartbeat_ms <= SILENT_AFTER_MS,
            "heartbeat": iso_utc(row.heartbeat_ms),
            "pid": row.pid,
        }
        for row in connection.execute(query)
    ]


def _kills(connection: Connection, journal: Journal) -> list[dict[str, Any]]:
    """Every kill in force; one held by its file alone has no record yet."""
    query = select(kills).where(kills.c.account == journal.account, kills.c.released_ns.is_(None))
    recorded = [
        {
            "scope": row.scope,
            "target": row.target,
            "actor": row.actor,
            "reason": row.reason,
            "latched": iso_utc(row.latched_ns // 1_000_000),
            "venue_confirmed_zero": row.zero_ns is not None,
        }
        for row in connection.execute(query)
    ]
    known = {(row["scope"], row["target"]) for row in recorded}
    on_file = (held for held in journal.latches.on_file() if (held.scope, held.target) not in known)
    return recorded + [
        {
            "scope": held.scope,
            "target": held.target,
            "actor": "",
            "reason": "held by its file; the store has no record of it",
            "latched": "",
            "venue_confirmed_zero": False,
        }
        for held in on_file
    ]


def _counts(connection: Connection, account: str) -> dict[str, int]:
    query = select(orders.c.status, func.count()).where(orders.c.account == account).group_by(orders.c.status)
    return {status.lower(): count for status, count in connection.execute(query)}


def _gate(connection: Connection, account: str) -> dict[str, Any]:
    query = select(decisions.c.verdict, decisions.c.controls, func.count())
    grouped = query.where(decisions.c.account == account).group_by(decisions.c.verdict, decisions.c.controls)
    verdicts: Counter[str] = Counter()
    controls: Counter[str] = Counter()
    for verdict, breached, count in connection.execute(grouped):
        verdicts[verdict.lower()] += count
        for control in breached.split():
            controls[control] += count
    return {"approved": verdicts["approved"], "refused": verdicts["refused"], "by_control": dict(controls)}


def _open_orders(connection: Connection, account: str) -> list[dict[str, Any]]:
    finished = [status.value for status in OrderStatus if status.is_terminal]
    query = select(orders).where(orders.c.account == account, orders.c.status.not_in(finished))
    return [
        {
            "client_order_id": row.client_order_id,
            "symbol": row.symbol,
            "side": row.side,
            "qty": row.qty,
            "price": row.price,
            "stop_price": row.stop_price,
            "take_profit": row.take_profit,
            "status": row.status,
        }
        for row in connection.execute(query)
    ]


def _traded(connection: Connection, account: str) -> dict[str, dict[str, str]]:
    """Per symbol: net base quantity before fees, and number of executions."""
    net: dict[str, Decimal] = {}
    count: Counter[str] = Counter()
    query = select(fills.c.symbol, fills.c.side, fills.c.qty).where(fills.c.account == account)
    for symbol, side, qty in connection.execute(query):
        net[symbol] = net.get(symbol, Decimal(0)) + (Decimal(qty) if side == "BUY" else -Decimal(qty))
        count[symbol] += 1
    return {
        symbol: {"net_qty": f"{qty:f}", "fills": str(count[symbol])} for symbol, qty in sorted(net.items())
    }


def _equity(connection: Connection, account: str) -> dict[str, str] | None:
    row = connection.execute(select(equity_marks).where(equity_marks.c.account == account)).first()
    if row is None:
        return None
    return {"peak": row.peak, "day_start": row.day_start, "marked": iso_utc(row.marked_ms)}
