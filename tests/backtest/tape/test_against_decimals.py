"""The compiled engine against the plain one in exact decimals, on random tapes with random orders."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.backtest.tape.events import ASK, BID, BUY_TRADE, SELL_TRADE, Tape
from qtm.backtest.tape.rules import Latency
from qtm.market.instruments import Market
from qtm.trading.costs import FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, CostModel
from qtm.trading.desk import (
    BUY,
    CANCEL,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    POST_ONLY,
    REDUCE_ONLY,
    SELL,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
    TRAILING,
)
from tests.backtest.tape.random_tapes import random_tape
from tests.backtest.tape.reference import Reference
from tests.backtest.tape.scripted import Line, run

KINDS = {BUY_TRADE: "B", SELL_TRADE: "S", BID: "bid", ASK: "ask"}
AT_MARKET = (MARKET, STOP, TAKE_PROFIT, TRAILING)


@st.composite
def scripts(draw: st.DrawFn, tape: Tape) -> list[Line]:
    """Up to 25 requests at random moments around the prices of the tape, cancels among them."""
    trades = tape.events[tape.events["kind"] <= SELL_TRADE]  # each of them wakes the strategy
    moments = sorted(draw(st.lists(st.integers(1, len(trades) - 1), min_size=1, max_size=25)))
    lines: list[Line] = []
    for ref, at in enumerate(moments, start=1):
        when, price = int(trades["ts_ns"][at]), int(trades["ticks"][at])
        if ref > 2 and draw(st.integers(0, 5)) == 0:
            lines.append(Line(when, draw(st.integers(1, ref - 1)), verb=CANCEL))
            continue
        kind = draw(
            st.sampled_from(
                [LIMIT, LIMIT, LIMIT, MARKET, STOP, STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT, TRAILING]
            )
        )
        off, away = draw(st.integers(-8, 8)), draw(st.integers(-10, 10))
        force = IOC if kind in AT_MARKET else draw(st.sampled_from([GTC, GTC, GTC, IOC, FOK, GTD]))
        lines.append(
            Line(
                when,
                ref,
                draw(st.sampled_from([BUY, SELL])),
                draw(st.integers(1, 150)),
                0 if kind in AT_MARKET else price + off,
                kind,
                0 if kind in (LIMIT, MARKET, TRAILING) else price + away,
                force,
                draw(
                    st.sampled_from(
                        [0, 0, 0, REDUCE_ONLY, POST_ONLY if kind == LIMIT and force == GTC else 0]
                    )
                ),
                draw(st.integers(1, 6)) if kind == TRAILING else 0,
                when + draw(st.integers(1, 3 * 10**9)) if force == GTD else 0,
                draw(st.sampled_from([0, 0, 0, 1, 2])),
            )
        )
    return lines


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tape, list[Line], int, bool]:
    tape = random_tape(
        draw(st.integers(60, 160)), deep=draw(st.booleans()), seed=draw(st.integers(0, 10_000))
    )
    return (
        tape,
        draw(scripts(tape)),
        draw(st.sampled_from([0, 0, 7_000_000, 450_000_000])),
        draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(problems())
def test_engine_equals_exact_decimals(problem: tuple[Tape, list[Line], int, bool]) -> None:
    tape, script, latency, spot = problem
    rate = 0.001
    result = run(
        tape, script, cash=20.0 if spot else 10_000.0, market=Market.SPOT if spot else Market.UM,
        costs=CostModel(rate, rate, 0.0, FEE_IN_RECEIVED_ASSET if spot else FEE_IN_QUOTE),
        latency=Latency((0,), (latency,)),
    )  # fmt: skip
    events = [(int(e["ts_ns"]), KINDS[int(e["kind"])], int(e["ticks"]), int(e["lots"])) for e in tape.events]
    plain = Reference(tape.depth != 0, Decimal(20 if spot else 10_000), Decimal("0.001"), latency, spot)
    plain.run(events, script, sorted({line.at_ns for line in script}))
    seen = [
        (int(r["ts_ns"]), _ref(script, int(r["handle"])), int(r["side"]), int(r["lots"]), int(r["ticks"]))
        for r in result.fill_rows
    ]  # fmt: skip
    assert seen == plain.fills
    assert Decimal(int(result.books["cash"])) / 10**8 == plain.cash
    assert Decimal(int(result.books["base"])) / 10**8 == plain.qty


def _ref(script: list[Line], handle: int) -> int:
    """The script's number of an order of the engine."""
    return [line.ref for line in script if line.verb == 0][handle // 256 - 1]
