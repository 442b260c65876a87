"""The same trades and depth through the order engine and through the paper exchange: the same fills, exactly.

The paper side is the real spot venue, its book, matching and accounts; nothing of it is replaced.
"""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.tape.events import ASK, BID, SELL_TRADE, Tape
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import Latency
from qtm.market.instruments import Market
from qtm.paper.errors import ApiError
from qtm.paper.klines import KlineHistory
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import E8
from qtm.trading.costs import FEE_IN_RECEIVED_ASSET, CostModel
from qtm.trading.desk import (
    BUY,
    CANCEL,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    POST_ONLY,
    SELL,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
)
from tests.backtest.scripted import instrument
from tests.backtest.tape.random_tapes import random_tape
from tests.backtest.tape.scripted import Line, ns, run, tape_of

COSTS = CostModel(0.001, 0.001, 0.0, FEE_IN_RECEIVED_ASSET)
TICK, LOT = 10**6, 10**5
LATENCY_MS = 5
LATENCY = Latency.constant(order_ms=LATENCY_MS)
TYPES = {
    LIMIT: "LIMIT",
    MARKET: "MARKET",
    STOP: "STOP_LOSS",
    STOP_LIMIT: "STOP_LOSS_LIMIT",
    TAKE_PROFIT: "TAKE_PROFIT",
}
FORCES = {GTC: "GTC", IOC: "IOC", FOK: "FOK"}


class Paper:
    """One account on the paper exchange's spot venue, driven event by event."""

    def __init__(self, cash: int) -> None:
        self.venue = SpotVenue(COSTS)
        self.venue.add_market(instrument(Market.SPOT, min_notional="0.01"), KlineHistory.empty("1m"))
        self.account = self.venue.open_account("engine")
        self.venue.deposit(self.account, "USDT", cash * E8)

    def happen(self, kind: int, ticks: int, lots: int, ts_ms: int) -> None:
        self.venue.move_clock(ts_ms)
        if kind in (BID, ASK):
            level = [(ticks * TICK, lots * LOT)]
            self.venue.change_depth("BTCUSDT", level if kind == BID else [], level if kind == ASK else [])
        else:
            self.venue.print_trade("BTCUSDT", ticks * TICK, lots * LOT, buyer_is_maker=kind == SELL_TRADE)

    def ask(self, line: Line, other: Line | None = None) -> None:
        """Send a request; an OCO list with its `other` leg."""
        try:
            if line.verb == CANCEL:
                found = self.venue.find_open(self.account, "BTCUSDT", None, f"order-{line.ref}")
                self.venue.cancel(self.account, found, f"cancel-{line.at_ns}-{line.ref}")
            elif other is not None:
                target, stop = order_of(line), order_of(other)
                above, below = (target, stop) if line.side == SELL else (stop, target)
                group = self.venue.lists.place_oco(self.account, above, below, f"list-{line.group}")
                assert len(group.orders) == 2
            else:
                self.venue.place(self.account, order_of(line))
        except ApiError:
            return  # refused: the engine must have rejected it as well, or the fills differ

    def fills(self) -> list[tuple[int, int, int, int]]:
        history = self.account.history["BTCUSDT"]
        found = []
        for trade in history.trades:
            ref = int(history.orders[trade.order_id].client_id.split("-")[1])
            found.append((ref, 1 if trade.buyer else -1, trade.qty // LOT, trade.price // TICK))
        return found


def order_of(line: Line) -> NewOrder:
    """The paper exchange's request for a line of the script."""
    return NewOrder(
        symbol="BTCUSDT",
        buy=line.side == BUY,
        type="LIMIT_MAKER" if line.flags & POST_ONLY else TYPES[line.kind],
        tif=FORCES[line.time_in_force],
        qty=line.lots * LOT,
        client_id=f"order-{line.ref}",
        price=line.ticks * TICK if line.ticks else None,
        stop_price=line.trigger_ticks * TICK if line.trigger_ticks else None,
        stp="EXPIRE_MAKER",
    )


PLAIN = (LIMIT, LIMIT, LIMIT, MARKET)
EVERY = (LIMIT, LIMIT, MARKET, STOP, STOP_LIMIT, TAKE_PROFIT)


def requests(tape: Tape, seed: int, kinds: tuple[int, ...], *, every: int, pairs: float = 0.0) -> list[Line]:
    """A request after each so many trades: around the price, of `kinds`; a share `pairs` of them are OCOs."""
    rng = np.random.default_rng(seed)
    trades = tape.events[tape.events["kind"] <= SELL_TRADE]
    lines: list[Line] = []
    ref = 0
    for at in range(3, len(trades) - 1, every):
        ref += 1
        price, when = int(trades["ticks"][at]), int(trades["ts_ns"][at])
        side = BUY if rng.random() < 0.55 else SELL
        lots = int(rng.integers(1, 150))
        if rng.random() < pairs:
            away = side * int(rng.integers(8, 20))
            lines.append(
                Line(when, ref, side, lots, price - away, flags=POST_ONLY, group=ref),
            )
            lines.append(
                Line(when, ref + 1, side, lots, kind=STOP, trigger_ticks=price + away, time_in_force=IOC,
                     group=ref),
            )  # fmt: skip
            ref += 1
            continue
        kind = kinds[rng.integers(0, len(kinds))]
        if ref > 3 and rng.random() < 0.15:
            lines.append(Line(when, int(rng.integers(1, ref)), verb=CANCEL))
            continue
        force = [GTC, GTC, GTC, IOC, FOK][rng.integers(0, 5)] if kind == LIMIT else GTC
        flags = POST_ONLY if kind == LIMIT and force == GTC and rng.random() < 0.3 else 0
        away = int(rng.integers(1, 8))
        above = (side == BUY) != (kind == TAKE_PROFIT)
        lines.append(
            Line(
                when, ref, side, lots,
                ticks=0 if kind in (MARKET, STOP, TAKE_PROFIT) else price + int(rng.integers(-6, 7)),
                kind=kind,
                trigger_ticks=0 if kind in (LIMIT, MARKET) else price + (away if above else -away),
                time_in_force=force if kind in (LIMIT, STOP_LIMIT) else IOC, flags=flags,
            )
        )  # fmt: skip
    return lines


def both(tape: Tape, script: list[Line], cash: int) -> tuple[OrdersResult, Paper]:
    """The script through the engine, and its requests and the tape through the paper exchange."""
    result = run(tape, script, cash=float(cash), market=Market.SPOT, costs=COSTS, latency=LATENCY)
    paper, pending = Paper(cash), list(script)
    for event in tape.events:
        now = int(event["ts_ns"])
        while pending and pending[0].at_ns + LATENCY_MS * 1_000_000 < now:
            line = pending.pop(0)
            paper.ask(line, pending.pop(0) if line.group else None)
        paper.happen(int(event["kind"]), int(event["ticks"]), int(event["lots"]), now // 1_000_000)
    return result, paper


def assert_same(result: OrdersResult, paper: Paper, script: list[Line]) -> None:
    refs = [line.ref for line in script if line.verb != CANCEL]
    ours = [
        (refs[int(row["handle"]) // 256 - 1], int(row["side"]), int(row["lots"]), int(row["ticks"]))
        for row in result.fill_rows
    ]
    assert ours == paper.fills()
    usdt, btc = paper.account.balance("USDT"), paper.account.balance("BTC")
    assert result.books["cash"] == usdt.free + usdt.locked
    assert result.books["base"] == btc.free + btc.locked


@pytest.mark.parametrize("seed", range(12))
def test_limit_and_market_orders_of_every_force_fill_alike_to_the_last_unit(seed: int) -> None:
    tape = random_tape(560, deep=True, seed=seed)
    script = requests(tape, seed + 100, PLAIN, every=9)
    result, paper = both(tape, script, 60)
    assert len(result.fill_rows) > 10
    assert_same(result, paper, script)


@pytest.mark.parametrize("seed", range(12))
def test_conditional_orders_and_pairs_fire_cancel_and_fill_alike_to_the_last_unit(seed: int) -> None:
    """On deep levels: the paper venue takes a print's lots from its book only with the depth that follows.

    In markets 8 and 9 a trade of the account itself fires a stop.
    """
    tape = random_tape(500, deep=True, seed=seed + 50)
    levels = np.isin(tape.events["kind"], (BID, ASK))
    tape.events["lots"][levels] *= 100
    script = requests(tape, seed + 300, EVERY, every=11, pairs=0.2)
    result, paper = both(tape, script, 60)
    assert_same(result, paper, script)
    assert len(result.fill_rows) > 5
    assert len(set(result.fills["cause"])) > 1


def test_stops_and_take_profits_fire_at_the_same_trade_and_fill_alike() -> None:
    before, rows = 9_991, [(0, "bid", 9_990, 5_000), (0, "ask", 9_991, 5_000)]
    for at, ticks in enumerate((9_991, 9_990, 9_995, 9_985, 9_999, 9_980, 9_991), start=1):
        if ticks != before:
            rows += [(at, "bid", before - 1, 0), (at, "ask", before, 0)]
        rows += [(at, "bid", ticks - 1, 5_000), (at, "ask", ticks, 5_000), (at + 0.1, "B", ticks, 3)]
        before = ticks
    script = [
        Line(ns(1.1), 1, BUY, 40, kind=MARKET, time_in_force=IOC),
        Line(ns(2.1), 2, SELL, 10, kind=STOP, trigger_ticks=9_986, time_in_force=IOC),
        Line(ns(2.1), 3, SELL, 10, kind=TAKE_PROFIT, trigger_ticks=9_995, time_in_force=IOC),
        Line(ns(2.1), 4, BUY, 5, 9_999, kind=STOP_LIMIT, trigger_ticks=9_998),
        Line(ns(5.1), 5, SELL, 12, 9_984, kind=STOP_LIMIT, trigger_ticks=9_985),
    ]
    result, paper = both(tape_of(rows), script, 60)
    assert len(result.fill_rows) >= 4
    assert_same(result, paper, script)


BOOK = [(0, "bid", 9_900, 500), (0, "ask", 10_000, 500), (0, "ask", 10_010, 500)]
HELD = Line(ns(1), 1, BUY, 60, kind=MARKET, time_in_force=IOC)


def stop_of(at: float, ref: int, side: int, trigger: int, kind: int = STOP) -> Line:
    return Line(ns(at), ref, side, 5, kind=kind, trigger_ticks=trigger, time_in_force=IOC)


@pytest.mark.parametrize(
    ("rows", "script", "fills"),
    [
        pytest.param(
            [(5, "B", 10_000, 2)],
            [HELD, stop_of(2, 2, BUY, 10_005), Line(ns(2), 3, BUY, 510, kind=MARKET, time_in_force=IOC)],
            [(1, 1, 60, 10_000), (3, 1, 500, 10_000), (3, 1, 10, 10_010), (2, 1, 5, 10_010)],
            id="a market order fires a stop of the account",
        ),
        pytest.param(
            [(5, "bid", 9_950, 30), (6, "B", 10_000, 2)],
            [HELD, Line(ns(2), 2, SELL, 20, 9_950), stop_of(2, 3, SELL, 9_950)],
            [(1, 1, 60, 10_000), (2, -1, 20, 9_950), (3, -1, 5, 9_950)],
            id="depth that fills a resting order fires a stop",
        ),
        pytest.param(
            [(5, "S", 9_900, 3), (6, "B", 10_000, 2)],
            [HELD, stop_of(2, 2, BUY, 9_905, TAKE_PROFIT), stop_of(2, 3, SELL, 9_905)],
            [(1, 1, 60, 10_000), (2, 1, 5, 10_000), (3, -1, 5, 9_900)],
            id="all that a price has reached fires, however far the first of them moves it",
        ),
    ],
)
def test_trades_of_the_account_itself_fire_its_stops(
    rows: list[tuple[float, str, int, int]], script: list[Line], fills: list[tuple[int, int, int, int]]
) -> None:
    traded = [(1, "B", 10_000, 1), (1.5, "ask", 10_000, 500), (2, "B", 10_000, 1), (2, "ask", 10_000, 500)]
    result, paper = both(tape_of([*BOOK, *traded, *rows]), script, 60_000)
    assert paper.fills() == fills
    assert_same(result, paper, script)
