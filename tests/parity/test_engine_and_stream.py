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
from qtm.market.bars import BarSeries
from qtm.risk.limits import load_limits
from qtm.risk.rules import GateLimits
from qtm.risk.sizing import Sizer
from qtm.risk.sizing_rules import sizer_of
from qtm.settings import RiskSettings
from qtm.store.database import open_database
from qtm.store.schema import decisions, fills, orders
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import SPOT_COSTS
from tests.parity.market import START_MS, Exchange, Stream, instrument, minute_bars, with_gaps

CASH = 100_000.0
BARS = 240
HISTORY = 60

GUARDED = str(Path(__file__).with_name("guarded.py"))

Row = tuple[int, str, int, int, str, str, float | None]


def engine_orders(result: BacktestResult) -> list[Row]:
    """(decided, side, lots, limit ticks, status, control, price) of every order towards a target."""
    rows = result.orders.filter(result.orders["cause"] == "target").sort("decided_ms").iter_rows(named=True)
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
            if json.loads(decision.record)["purpose"] != "TARGET":
                continue
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
    controls = ",".join(decision.controls.split())
    return (decision.decided_ms, record["side"], lots, ticks, status, controls, price)


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


LADDER = """
from typing import NamedTuple
import numpy as np
from qtm.strategies.contract import step_strategy

class Params(NamedTuple):
    rung: int = 10

@step_strategy(name="ladder", summary="Enters by thirds, leaves at once.", params=Params,
               bounds={"rung": (1, 99)}, state={"bars": "i8"})
def strategy(params, state, bar, account):
    at = (state.bars // params.rung) % 5
    state.bars += 1
    return 0.3 * at if at < 4 else 0.0
"""


def ladder(folder: Path) -> str:
    """A strategy whose exits are three times its entries, as a file."""
    path = folder / "ladder.py"
    path.write_text(LADDER)
    return str(path)


def test_an_exit_above_the_order_limit_leaves_in_the_same_parts_at_the_same_bars(tmp_path: Path) -> None:
    risk = RiskSettings(max_order_value=Decimal(35_000))
    rows = check_parity(tmp_path, ladder(tmp_path), {}, risk, QTM_RISK__MAX_ORDER_VALUE="35000")
    assert {row[4] for row in rows} == {"FILLED"}
    sales = [row for row in rows if row[1] == "SELL" and row[2] > 0]
    most = [lots * ticks * 1e-7 for _, _, lots, ticks, *_ in sales]  # a lot of 1e-5 at a tick of 0.01
    assert max(most) <= 35_000 < max(most) * 1.001
    starts = [row[0] for row in sales]
    assert starts[1] == starts[0] + 60_000 and starts[2] == starts[0] + 120_000


@pytest.mark.parametrize("word", ["reduce", "halt"])
def test_a_loss_above_its_limit_does_the_same_in_engine_and_stream(tmp_path: Path, word: str) -> None:
    # The gate looks at every price, the engine at closes: this loss is passed by both within the same bar.
    risk = RiskSettings(max_drawdown=Decimal("0.0065"), at_loss_limit=word)  # type: ignore[arg-type]
    rows = check_parity(
        tmp_path, ladder(tmp_path), {"rung": 7}, risk,
        QTM_RISK__MAX_DRAWDOWN="0.0065", QTM_RISK__AT_LOSS_LIMIT=word,
    )  # fmt: skip
    refused = [row for row in rows if row[4] == "REFUSED"]
    assert {row[1] for row in refused} == ({"BUY"} if word == "reduce" else {"BUY", "SELL"})
    assert all("PT-09" in row[5] or row[5] == "KS-03" for row in refused)


Exit = tuple[int, str, int, float]


def engine_exits(result: BacktestResult) -> list[Exit]:
    """(bar, side, lots, price) of every exit inside a bar."""
    rows = result.orders.filter(result.orders["cause"] != "target").iter_rows(named=True)
    return [(row["decided_ms"], row["side"], int(row["lots"]), row["fill_price"]) for row in rows]


def stream_exits(stream: Stream, symbol: str) -> list[Exit]:
    """The same of every protective order that was filled."""
    with open_database(stream.database_url).read() as connection:
        filled = connection.execute(
            select(orders, fills.c.price.label("paid"), fills.c.qty.label("traded"), fills.c.ts_ms)
            .join(fills, fills.c.client_order_id == orders.c.client_order_id)
            .where(orders.c.purpose == "PROTECTION", orders.c.symbol == symbol)
            .order_by(fills.c.trade_id)
        ).all()  # fmt: skip
    lots = instrument(symbol).lots
    return [
        (row.ts_ms // 60_000 * 60_000, row.side, lots(Decimal(row.traded)), float(row.paid)) for row in filled
    ]


@pytest.mark.parametrize(
    ("strategy", "params", "causes"),
    [
        (GUARDED, {"stop": 0.001}, {"stop"}),
        (GUARDED, {"take_profit": 0.001, "stop": 0.002}, {"stop", "take-profit"}),
        (GUARDED, {"trail": 0.0015, "take_profit": 0.002}, {"trailing stop", "take-profit"}),
        ("breakout", {"channel": 8, "ranges": 5, "width": 1.5}, {"trailing stop"}),
    ],
)
def test_protective_exits_fill_where_the_engine_fills_them(
    tmp_path: Path, strategy: str, params: dict[str, float], causes: set[str]
) -> None:
    bars = with_gaps(minute_bars("BTCUSDT", BARS, history=HISTORY))
    check_parity(tmp_path, strategy, params, RiskSettings(), bars=bars, causes=causes)


def test_a_sizing_rule_gives_the_same_sizes_and_resizings(tmp_path: Path) -> None:
    rows = check_parity(
        tmp_path, "trend", {"fast": 5, "slow": 21}, RiskSettings(),
        sizer="volatility:target=0.0003,window=50,drift=0.15",
    )  # fmt: skip
    assert len({row[2] for row in rows}) > 6


def check_parity(
    folder: Path,
    name: str,
    params: dict[str, float],
    risk: RiskSettings,
    *,
    units: float = 0.0,
    bars: BarSeries | None = None,
    causes: set[str] | None = None,
    sizer: str = "",
    **environment: str,
) -> list[Row]:
    bars = bars or minute_bars("BTCUSDT", BARS, history=HISTORY)
    strategy = load_strategy(name)
    one = instrument("BTCUSDT")
    sizing: Sizing | Sizer = Sizing(SIZE_BY_UNITS, units) if units else Sizing()
    if sizer:
        sizing = sizer_of(sizer)
    settings = [word for pair in params.items() for word in ("--param", "{}={}".format(*pair))]
    limits = load_limits(risk, [one]).effective(strategy.name, "BTCUSDT").limits
    floats = GateLimits(*(float(value) for value in limits))._replace(rounding=1e-12)
    result = run_backtest(
        strategy, strategy.params(params), bars, one, cash=CASH, costs=SPOT_COSTS, sizing=sizing,
        limits=floats, trade_from_ms=START_MS,
    )  # fmt: skip
    with Exchange([bars]) as exchange:
        stream = Stream(
            folder, exchange, "--strategy", name, "--symbols", "BTCUSDT", "--lockstep",
            "--warmup", str(HISTORY), "--units", str(units), "--sizing", sizer, *settings, **environment,
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
    assert stream_exits(stream, "BTCUSDT") == engine_exits(result)
    assert set(result.orders["cause"]) >= (causes or set()), "every kind of exit was met"
    assert len(mine) > 3, "a parity test that trades nothing proves nothing"
    assert summary["bars"] == BARS
    return mine
