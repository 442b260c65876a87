"""The same bars through the backtest engine and through the running dataflow: equal to the bit.

The stream is a real process that trades on a real HTTP exchange; nothing of it is replaced. Signals are
compared as bits, orders by side, lots, limit, status and price, refusals by control.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.risk.limits import load_limits
from qtm.risk.rules import GateLimits
from qtm.settings import RiskSettings
from qtm.store.database import open_database
from qtm.store.schema import decisions, fills, orders
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import SPOT_COSTS
from tests.parity.market import START_MS, Exchange, Stream, instrument, minute_bars

CASH = 100_000.0
BARS = 240
HISTORY = 60

Row = tuple[int, str, int, int, str, str, float | None]


def engine_orders(result: BacktestResult) -> list[Row]:
    """(decided, side, lots, limit ticks, status, control, price) of every order the engine finished."""
    rows = result.orders.sort("decided_ms").iter_rows(named=True)
    return [
        (
            row["decided_ms"], row["side"], int(row["lots"]), int(row["limit_ticks"]), row["status"],
            row["control"] or "", row["fill_price"] if row["status"] == "FILLED" else None,
        )
        for row in rows
    ]  # fmt: skip


def stream_orders(stream: Stream, symbol: str) -> list[Row]:
    """The same of every order the gate judged and the exchange answered."""
    one = instrument(symbol)
    found: list[Row] = []
    with open_database(stream.database_url).read() as connection:
        for decision in connection.execute(select(decisions).where(decisions.c.symbol == symbol)):
            mine = orders.c.client_order_id == decision.client_order_id
            sent = connection.execute(select(orders).where(mine)).first()
            paid = connection.execute(
                select(fills.c.price).where(fills.c.client_order_id == decision.client_order_id)
            ).scalars().all()  # fmt: skip
            found.append(_row(decision, sent, paid, one))
    return sorted(found)


def _row(decision: Any, sent: Any, paid: Any, one: Any) -> Row:
    record = json.loads(decision.record)
    lots, ticks = one.lots(Decimal(record["qty"])), one.ticks(Decimal(record["price"]))
    status = "REFUSED" if sent is None else sent.status
    price = float(paid[0]) if paid else None
    assert len(paid) <= 1, "the replayed book is deep enough for one execution per order"
    return (decision.decided_ms, record["side"], lots, ticks, status, decision.controls, price)


@pytest.mark.parametrize(
    ("strategy", "params"),
    [
        ("trend", {"fast": 5, "slow": 21}),
        ("mean-reversion", {"window": 30, "entry": 1.5, "exit": 0.0}),
    ],
)
def test_signals_are_equal_to_the_bit_and_orders_exactly(
    tmp_path: Path, strategy: str, params: dict[str, float]
) -> None:
    check_parity(tmp_path, strategy, params, RiskSettings())


def test_a_refusal_by_the_gate_is_the_same_refusal_in_the_engine(tmp_path: Path) -> None:
    middle = float(np.median(minute_bars("BTCUSDT", BARS).close))
    cap = round(middle * 1.01, 2)  # one bitcoin's protective limit costs more than this half of the time
    risk = RiskSettings(max_order_value=Decimal(str(cap)))
    rows = check_parity(
        tmp_path, "trend", {"fast": 3, "slow": 9}, risk, units=1.0, QTM_RISK__MAX_ORDER_VALUE=str(cap)
    )
    assert {row[4] for row in rows} >= {"REFUSED", "FILLED"}
    assert {row[5] for row in rows if row[4] == "REFUSED"} == {"PT-03"}


def check_parity(
    folder: Path,
    name: str,
    params: dict[str, float],
    risk: RiskSettings,
    *,
    units: float = 0.0,
    **environment: str,
) -> list[Row]:
    bars = minute_bars("BTCUSDT", BARS, history=HISTORY)
    strategy = load_strategy(name)
    one = instrument("BTCUSDT")
    sizing = Sizing(SIZE_BY_UNITS, units) if units else Sizing()
    settings = [word for pair in params.items() for word in ("--param", "{}={}".format(*pair))]
    limits = load_limits(risk, [one]).effective(name, "BTCUSDT").limits
    floats = GateLimits(*(float(value) for value in limits))._replace(rounding=1e-12)
    result = run_backtest(
        strategy, strategy.params(params), bars, one, cash=CASH, costs=SPOT_COSTS, sizing=sizing,
        limits=floats, trade_from_ms=START_MS,
    )  # fmt: skip
    with Exchange([bars]) as exchange:
        stream = Stream(
            folder, exchange, "--strategy", name, "--symbols", "BTCUSDT", "--lockstep",
            "--warmup", str(HISTORY), "--units", str(units), *settings, **environment,
        )  # fmt: skip
        summary = stream.run()

    answers = stream.signals()
    live = [float.fromhex(answers["BTCUSDT", int(ms)]["target"]) for ms in bars.open_time_ms]
    worth = [float.fromhex(answers["BTCUSDT", int(ms)]["equity"]) for ms in bars.open_time_ms]
    np.testing.assert_array_equal(np.array(live).view(np.int64), result.signals.view(np.int64))
    np.testing.assert_array_equal(np.array(worth), result.equity)

    last_close = int(bars.open_time_ms[-1]) + 60_000  # no next open: the engine leaves that order open
    mine = [row for row in stream_orders(stream, "BTCUSDT") if row[0] < last_close]
    assert mine == [row for row in engine_orders(result) if row[0] < last_close]
    assert len(mine) > 3, "a parity test that trades nothing proves nothing"
    assert summary["bars"] == BARS + HISTORY
    return mine
