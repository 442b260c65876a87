"""A script of resting limit orders here and in nautilus_trader: fills, prices, fees and equity compared."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks._peers import FOLDER, run_order_peer
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import BUY_TRADE, NO_DEPTH, SELL_TRADE, TAPE_EVENT, Tape, make_tape
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.strategies.order_contract import order_strategy
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.desk import cancel, limit
from qtm.trading.margin import UM_MARGIN

TRADES, ORDERS = 20_000, 400
CASH, FEE = 1_000_000.0, 0.0002
TOLERANCE = 1e-6
Fill = tuple[int, int, int, float]
"""Number of the trade, price in ticks, lots, fee."""
START_NS = 1_704_067_200_000_000_000
_INSTRUMENT = Instrument(
    Market.UM, "BTCUSDT", "BTC", "USDT", tick_size=Decimal("0.1"), step_size=Decimal("0.001"),
    min_qty=Decimal("0.001"), max_qty=Decimal(1_000), min_notional=Decimal(5),
)  # fmt: skip
_LINE = np.dtype([(name, "i8") for name in ("at", "until", "side", "lots", "ticks", "handle")], align=True)


class Params(NamedTuple):
    """None."""

    unused: int = 0


@order_strategy(
    name="scripted", summary="Sends and cancels what a script says.", params=Params, bounds={},
    state={"seen": "i8", "next": "i8", "lines": (_LINE, (ORDERS,))}, wakes=("trade",),
)  # fmt: skip
def strategy(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    """Cancel what has stood long enough, then place what the script has for this trade."""
    for k in range(state.next):
        if state.lines[k].until == state.seen:
            cancel(desk, state.lines[k].handle)
    while state.next < ORDERS and state.lines[state.next].at == state.seen:
        line = state.lines[state.next]
        line.handle = limit(desk, line.side, line.lots, line.ticks)
        state.next += 1
    state.seen += 1


def main() -> int:
    """Print the comparison; 1 when the engines disagree."""
    tape, script = market_and_script()
    zeroed = type(strategy).new_state

    def scripted(self: Any) -> npt.NDArray[np.void]:
        state = zeroed(self)
        state["lines"][0] = script
        return state  # type: ignore[no-any-return]

    told = type("Scripted", (type(strategy),), {"new_state": scripted})(**strategy.__dict__)
    run = run_orders_backtest(
        told, None, tape, _INSTRUMENT, cash=CASH, costs=CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE),
        margin=UM_MARGIN,
    )  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    path, answer = FOLDER / "orders_script.npz", FOLDER / "_nautilus_orders.npz"
    events = tape.events
    np.savez(
        path, ts_ns=events["ts_ns"], ticks=events["ticks"], lots=events["lots"],
        buys=events["kind"] == BUY_TRADE, at=script["at"], until=script["until"], side=script["side"],
        order_lots=script["lots"], order_ticks=script["ticks"], cash=CASH, fee=FEE,
    )  # fmt: skip
    moments = np.searchsorted(events["ts_ns"], run.fills["ts_ns"].to_numpy())
    columns = run.fills.select("order", "ticks", "lots", "fee").iter_rows()
    mine = {order - 1: (at, *rest) for at, (order, *rest) in zip(moments.tolist(), columns, strict=True)}
    print(f"{TRADES:,} trades, {ORDERS} limit orders: {len(mine)} filled, final equity {run.equity[-1]:,.8f}")
    same = compare(mine, float(run.equity[-1]), path, answer, "prices")
    print("for comparison, trades as trade ticks (its buyers never lift a resting sell, nor sellers a buy):")
    compare(mine, float(run.equity[-1]), path, answer, "trades")
    print(f"engines {'agree' if same else 'DISAGREE'}")
    return 0 if same else 1


def compare(mine: dict[int, Fill], equity: float, path: Path, answer: Path, fed_with: str) -> bool:
    """Run nautilus_trader on the script and print what differs; True when nothing does."""
    peers = run_order_peer("_nautilus_orders.py", str(path), str(answer), fed_with)
    if not peers:
        return False
    found: Any = np.load(answer)
    theirs: dict[int, Fill] = {int(row[0]): (int(row[1]), int(row[2]), int(row[3]), row[4])
                               for row in found["fills"]}  # fmt: skip
    final = float(found["final"])
    print(f"{peers[0]['name']} on {fed_with}: {len(theirs)} filled, final equity {final:,.8f}")
    both = sorted(mine.keys() & theirs.keys())
    late = [k for k in both if mine[k][0] != theirs[k][0]]
    queued = [k for k in late if _behind_another(theirs, k, mine[k][0])]
    apart = {
        "orders only one engine fills": len(mine.keys() ^ theirs.keys()),
        "fills at another trade": len(late) - len(queued),
        "fills at another price": sum(mine[k][1] != theirs[k][1] for k in both),
        "fills of another size": sum(mine[k][2] != theirs[k][2] for k in both),
        "largest difference of a fee": max((abs(mine[k][3] - theirs[k][3]) for k in both), default=np.inf),
        "difference of final equity": abs(equity - final),
    }
    for what, value in apart.items():
        print(f"    {what:30} {value:g}")
    print(f"    {len(queued)} of {len(both)} a trade or more later there: one trade passed two orders")
    return all(value <= TOLERANCE for value in apart.values())


def _behind_another(theirs: dict[int, Fill], order: int, at: int) -> bool:
    """Whether nautilus_trader gave the trade `at` to an order at another price.

    It puts the market's price at that order's limit, so that the same trade reaches none further away.
    """
    price = theirs[order][1]
    return any(other[0] == at and other[1] != price for k, other in theirs.items() if k != order)


def market_and_script(seed: int = 7) -> tuple[Tape, npt.NDArray[np.void]]:
    """Trades larger than all orders together, and orders that rest 5 to 60 ticks away for a while."""
    random = np.random.default_rng(seed)
    events = np.zeros(TRADES, TAPE_EVENT)
    events["ts_ns"] = START_NS + np.cumsum(random.integers(1, 2_000, TRADES)) * 1_000_000
    events["ticks"] = 300_000 + np.cumsum(np.rint(random.normal(0.0, 4.0, TRADES)).astype(np.int64))
    events["lots"] = random.integers(50_000, 90_000, TRADES)
    events["kind"] = np.where(random.random(TRADES) < 0.5, BUY_TRADE, SELL_TRADE)
    script = np.zeros(ORDERS, _LINE)
    script["at"] = np.sort(random.choice(np.arange(10, TRADES - 500), ORDERS, replace=False))
    script["until"] = script["at"] + random.integers(20, 400, ORDERS)
    script["side"] = random.choice([-1, 1], ORDERS)
    script["lots"] = random.integers(10, 200, ORDERS)
    script["ticks"] = events["ticks"][script["at"]] - script["side"] * random.integers(5, 60, ORDERS)
    return make_tape("BTCUSDT", events, depth=NO_DEPTH, interval=Interval.M1), script


if __name__ == "__main__":
    sys.exit(main())
