"""Why an order exists and what became of it: signal, sizing, every check, every state, every execution.

Read from the journal alone. The decision's record also says whether the chain of decisions up to it is
unbroken, so the explanation can be trusted or is known not to be.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from qtm.clock import iso_utc
from qtm.errors import StoreError
from qtm.execution.chain import first_break
from qtm.execution.journal import Journal
from qtm.store.schema import decisions, order_events, runs


def explain(journal: Journal, client_order_id: str) -> dict[str, Any]:
    """The life of one order as plain data.

    Raises
    ------
    StoreError
        When the journal holds no decision on that id.
    """
    with journal.database.read() as connection:
        query = select(decisions).where(decisions.c.client_order_id == client_order_id)
        decided = connection.execute(query).first()
        if decided is None:
            raise StoreError(
                "the journal holds no decision on this order id",
                where=client_order_id,
                remedy="`qtm status` lists recent orders; ids look like trend-BTCUSDT-0000001",
            )
        run = connection.execute(select(runs).where(runs.c.run_id == decided.run_id)).one()
        events = connection.execute(
            select(order_events)
            .where(order_events.c.client_order_id == client_order_id)
            .order_by(order_events.c.event_id)
        ).all()
    record = json.loads(decided.record)
    return {
        "client_order_id": client_order_id,
        "run": {"run_id": run.run_id, "strategy_version": run.strategy_version, "account": run.account},
        "signal": record["inputs"],
        "order": {
            name: record[name]
            for name in ("strategy", "symbol", "side", "type", "time_in_force", "qty", "price", "reduce_only")
        }
        | {name: record.get(name) for name in ("purpose", "stop_price", "take_profit")},
        "verdict": record["verdict"],
        "limits_version": record["limits_version"],
        "reference": {"price": record["reference_price"], "seen": _when(record["reference_ms"])},
        "decided": _when(record["decided_ms"]),
        "findings": record["findings"],
        "states": [
            {
                "time": _when(event.ts_ns // 1_000_000),
                "state": event.status,
                "why": json.loads(event.detail)["reason"],
            }
            for event in events
        ],
        "fills": [
            {
                "trade_id": fill.trade_id,
                "qty": f"{fill.qty:f}",
                "price": f"{fill.price:f}",
                "fee": f"{fill.fee:f} {fill.fee_asset}",
                "time": _when(fill.ts_ms),
            }
            for fill in journal.fills(client_order_id)
        ],
        "hash": decided.hash,
        "chain_intact": chain_break(journal, up_to=decided.decision_id) is None,
    }


def chain_break(journal: Journal, *, up_to: int | None = None) -> str | None:
    """Id of the first order whose decision was altered, removed or reordered; None when the chain holds."""
    query = select(decisions.c.client_order_id, decisions.c.record, decisions.c.hash).where(
        decisions.c.account == journal.account
    )
    if up_to is not None:
        query = query.where(decisions.c.decision_id <= up_to)
    with journal.database.read() as connection:
        rows = connection.execute(query.order_by(decisions.c.decision_id)).all()
    broken = first_break((row.record, row.hash) for row in rows)
    return None if broken is None else str(rows[broken].client_order_id)


def _when(ts_ms: int | None) -> str | None:
    return None if ts_ms is None else iso_utc(ts_ms)
