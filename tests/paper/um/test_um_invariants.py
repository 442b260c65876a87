"""Whatever happens, wallets and positions conserve what was paid in, and user events rebuild the account."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from qtm.paper.errors import ApiError
from qtm.paper.um.funding import FundingEvent
from qtm.paper.wire import E8, text_of
from tests.paper.um.um_worlds import Desk
from tests.paper.worlds import START_MS

NAMES = ("alice", "bob")
orders = st.tuples(
    st.sampled_from(NAMES),
    st.booleans(),
    st.integers(1, 60_000),
    st.none() | st.integers(850, 1150),
    st.booleans(),
)
moves = st.integers(600, 1500)
rates = st.integers(-750_000, 750_000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(orders, moves.map(lambda p: p / 10), rates.map(str)), max_size=40),
    st.booleans(),
    st.sampled_from([1, 20, 100]),
)
def test_any_trading_conserves_money_and_events_tell_it_all(
    steps: list[object], isolated: bool, leverage: int
) -> None:
    desk = Desk(100, *NAMES)
    venue = desk.venue
    for name in NAMES:
        desk.account(name).setting("BTCUSDT").isolated = isolated and name == "bob"
        desk.account(name).setting("BTCUSDT").leverage = leverage
    hour = 0
    for step in steps:
        if isinstance(step, float):
            desk.at(step)
        elif isinstance(step, str):
            hour += 1
            due = START_MS + hour * 3_600_000
            venue.funding.give("BTCUSDT", [FundingEvent("BTCUSDT", due, 1, int(step))])
            venue.move_clock(due)
        elif isinstance(step, tuple):
            name, buy, lots, ticks, reduce_only = step
            price = f"{ticks / 10:.1f}" if ticks else None
            try:
                desk.order(buy, text_of(lots * E8 // 1000), price, name, reduce_only=reduce_only)
            except ApiError as error:
                assert error.code in (-2019, -2022, -2027, -4016, -4024, -4164)
    for name in NAMES:
        account = desk.account(name)
        position = account.position("BTCUSDT", "BOTH")
        assert account.wallets["USDT"] == sum(entry.amount for entry in account.income)
        traded = sum(-t.quote if t.buy else t.quote for t in account.trades)
        booked = sum(e.amount for e in account.income if e.kind == "REALIZED_PNL")
        assert booked - position.cost == traded
        assert position.qty == sum(t.qty if t.buy else -t.qty for t in account.trades)
        assert (position.qty == 0) <= (position.cost == 0 and position.isolated_wallet == 0)
        assert all(o.remaining <= abs(position.qty) for o in account.open_orders.values() if o.closes)
        updates = [e["a"] for e in desk.events[name] if e["e"] == "ACCOUNT_UPDATE"]
        held = [p["pa"] for a in updates for p in a["P"]]
        assert updates[-1]["B"][0]["wb"] == text_of(account.wallets["USDT"])
        assert (held[-1] if held else "0.000") == venue.symbols["BTCUSDT"].qty(position.qty)
        reported = {e["o"]["i"]: e["o"] for e in desk.events[name] if e["e"] == "ORDER_TRADE_UPDATE"}
        opened = {i for i, o in reported.items() if o["X"] in ("NEW", "PARTIALLY_FILLED")}
        assert opened == set(account.open_orders)
