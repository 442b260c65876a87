"""Orders, gates and runs for the execution tests."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from qtm.market.instruments import Instrument, Market
from qtm.risk.decisions import ApprovedOrder
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.limits import load_limits
from qtm.settings import RiskSettings
from qtm.store.database import Database
from qtm.store.schema import runs
from qtm.trading.orders import OrderIntent, OrderType, Side, TimeInForce

NOW_MS = 1_700_000_000_000
BTC = Instrument(
    Market.SPOT,
    "BTCUSDT",
    "BTC",
    "USDT",
    Decimal("0.01"),
    Decimal("0.00001"),
    Decimal("0.00001"),
    Decimal("9000"),
    Decimal("5"),
)


def order(
    number: int, side: Side = Side.BUY, qty: str = "1", price: str = "60000", **changes: Any
) -> OrderIntent:
    intent = OrderIntent(
        f"s-BTCUSDT-{number}",
        "s",
        "BTCUSDT",
        side,
        OrderType.LIMIT,
        Decimal(qty),
        Decimal(price),
        TimeInForce.IOC,
        NOW_MS,
    )
    return replace(intent, **changes)


def make_gate() -> Gate:
    """An armed gate with room for everything but a price 3 % away."""
    risk = RiskSettings(max_order_value=Decimal(10**9), max_position_value=Decimal(10**9))
    exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, Decimal(100_000), {})
    gate = Gate(load_limits(risk, [BTC]), [BTC], exposure)
    gate.on_price("BTCUSDT", Decimal(60_000), NOW_MS)
    gate.arm(NOW_MS, "test")
    return gate


def approve(intent: OrderIntent) -> ApprovedOrder:
    outcome = make_gate().check(intent, NOW_MS)
    assert isinstance(outcome, ApprovedOrder), outcome.decision.reason
    return outcome


def open_run(database: Database, run_id: str) -> None:
    row = {
        "run_id": run_id,
        "account": "paper",
        "strategy": "s",
        "strategy_version": "0",
        "symbols": "BTCUSDT",
        "settings": "{}",
        "pid": 1,
        "started_ms": NOW_MS,
        "heartbeat_ms": NOW_MS,
        "state": "ACTIVE",
    }
    with database.write() as connection:
        connection.execute(insert(runs).values(row))
