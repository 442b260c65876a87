"""Whatever happens: money is conserved to the unit, no account stays short of margin, events tell it all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qtm.paper.errors import ApiError
from qtm.paper.um import algo
from qtm.paper.um.brackets import bracket_table, maintenance
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.margin import asset_margin
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.wire import E8, text_of, units_of
from tests.paper.um.um_worlds import Desk
from tests.paper.worlds import START_MS

NAMES = ("alice", "bob", "carol")
REFUSALS = {-2019, -2021, -2022, -2027, -4005, -4016, -4024, -4116, -4131, -4164, -5021, -5022, -5027, -5029}
BRACKETS = {
    "BTCUSDT": bracket_table([(100, 20_000, 400_000), (25, 150_000, 2_000_000), (5, 900_000, 10_000_000)])
}

names = st.sampled_from(NAMES)
lots = st.integers(60, 60_000)


class FuturesMarket(RuleBasedStateMachine):
    """Orders, conditional orders, cancels, price moves, funding and settings in any order."""

    @initialize(
        fund=st.sampled_from([0, 500, 1_000_000]), leverage=st.sampled_from([5, 25, 100]), bob=st.booleans()
    )
    def begin(self, fund: int, leverage: int, bob: bool) -> None:
        self.desk = Desk(100, *NAMES, insurance=fund * E8, brackets=BRACKETS)
        self.venue = self.desk.venue
        self.hours = 0
        for name in NAMES:
            self.desk.account(name).setting("BTCUSDT").leverage = leverage
            self.desk.account(name).fee_burn = name == "alice"
        self.desk.account("bob").setting("BTCUSDT").isolated = bob
        self.desk.account("carol").hedge = True
        self.venue.deposit(self.desk.account("alice"), "BNB", 2 * E8)

    def _try(self, action: Any) -> Any:
        try:
            return action()
        except ApiError as error:
            assert error.code in REFUSALS, error
            return None

    @rule(name=names, buy=st.booleans(), size=lots, ticks=st.none() | st.integers(900, 1100),
          close=st.booleans(), tif=st.sampled_from(["GTC", "IOC", "FOK", "GTX"]))  # fmt: skip
    def order(self, name: str, buy: bool, size: int, ticks: int | None, close: bool, tif: str) -> None:
        hedge = self.desk.account(name).hedge
        side = "BOTH" if not hedge else ("LONG" if buy != close else "SHORT")
        price = f"{ticks / 10:.1f}" if ticks else None
        more = {"reduce_only": close and not hedge, "position_side": side}
        if price:
            more["tif"] = tif
        self._try(lambda: self.desk.order(buy, text_of(size * E8 // 1000), price, name, **more))

    @rule(name=names, buy=st.booleans(), size=lots, ticks=st.integers(700, 1400),
          kind=st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET"]))  # fmt: skip
    def conditional(self, name: str, buy: bool, size: int, ticks: int, kind: str) -> None:
        account = self.desk.account(name)
        self.desk.serial += 1
        request = NewUmOrder(
            "BTCUSDT", buy, "MARKET", f"a{self.desk.serial}", qty=size * E8 // 1000,
            position_side="BOTH" if not account.hedge else "LONG",
        )  # fmt: skip
        self._try(lambda: algo.place(self.venue, account, request, kind, units_of(f"{ticks / 10:.1f}"), 0, 0))

    @rule(name=names)
    def cancel(self, name: str) -> None:
        account = self.desk.account(name)
        if account.open_orders:
            self.venue.cancel(account, next(iter(account.open_orders.values())))

    @rule(tenths=st.integers(600, 1500), depth=st.sampled_from([5, 60, 2000]))
    def price(self, tenths: int, depth: int) -> None:
        self.desk.at(tenths / 10, depth)

    @rule(tenths=st.integers(600, 1500), size=lots, buys=st.booleans())
    def prints(self, tenths: int, size: int, buys: bool) -> None:
        self.venue.print_trade("BTCUSDT", tenths * E8 // 10, size * E8 // 1000, buyer_is_maker=not buys)

    @rule(rate=st.integers(-750_000, 750_000))
    def funding(self, rate: int) -> None:
        self.hours += 1
        due = START_MS + self.hours * 3_600_000
        self.venue.funding.give("BTCUSDT", [FundingEvent("BTCUSDT", due, 1, rate)])
        self.venue.move_clock(due)

    @rule(amount=st.integers(-3_000, 3_000), name=names)
    def transfer(self, amount: int, name: str) -> None:
        try:
            self.venue.deposit(self.desk.account(name), "USDT", amount * E8)
        except ApiError as error:
            assert error.code == -2018

    @invariant()
    def money_is_conserved(self) -> None:
        assert self.venue.imbalance("USDT") == 0
        assert self.venue.imbalance("BNB") == 0
        for name in NAMES:
            account = self.desk.account(name)
            for asset, wallet in account.wallets.items():
                assert wallet == sum(entry.amount for entry in account.income if entry.asset == asset)

    @invariant()
    def nobody_is_short_of_margin(self) -> None:
        mark = self.venue.mark("BTCUSDT")
        for name in NAMES:
            account = self.desk.account(name)
            assert account.wallets["USDT"] >= 0
            if account.setting("BTCUSDT").isolated:
                for position in account.held("BTCUSDT"):
                    needed = maintenance(BRACKETS["BTCUSDT"], position.notional(mark))
                    assert position.isolated_wallet + position.unrealised(mark) >= needed
            else:
                total = asset_margin(self.venue, account, "USDT")
                assert total.cross_wallet + total.cross_unrealised >= total.cross_maintenance

    @invariant()
    def positions_are_what_was_traded(self) -> None:
        for name in NAMES:
            account = self.desk.account(name)
            for key, position in account.positions.items():
                fills = [t for t in account.trades if (t.symbol, t.position_side) == key]
                assert position.qty == sum(t.qty if t.buy else -t.qty for t in fills)
                assert (position.qty == 0) <= (position.cost == 0 and position.isolated_wallet == 0)
                closing = [o for o in account.open_orders.values() if o.closes]
                assert all(
                    o.remaining <= abs(account.position(o.symbol, o.request.position_side).qty)
                    for o in closing
                )

    @invariant()
    def events_rebuild_the_account(self) -> None:
        for name in NAMES:
            account, events = self.desk.account(name), self.desk.events[name]
            wallets: dict[str, str] = {}
            positions: dict[str, dict[str, str]] = {}
            orders: dict[int, dict[str, Any]] = {}
            traded = Decimal(0)
            for event in events:
                if event["e"] == "ACCOUNT_UPDATE":
                    wallets |= {row["a"]: row["wb"] for row in event["a"]["B"]}
                    positions |= {row["ps"]: row for row in event["a"]["P"]}
                elif event["e"] == "ORDER_TRADE_UPDATE":
                    orders[event["o"]["i"]] = event["o"]
                    traded += Decimal(event["o"]["l"])
            assert wallets == {asset: text_of(amount) for asset, amount in account.wallets.items()}
            symbol = self.venue.symbols["BTCUSDT"]
            for position in account.positions.values():
                shown = positions.get(position.side)
                assert (shown["pa"] if shown else symbol.qty(0)) == symbol.qty(position.qty)
                if shown and position.qty:
                    assert shown["ep"] == text_of(position.entry)
            opened = {i: o for i, o in orders.items() if o["X"] in ("NEW", "PARTIALLY_FILLED")}
            assert set(opened) == set(account.open_orders)
            for number, shown in opened.items():
                assert shown["z"] == symbol.qty(account.open_orders[number].executed)
            assert units_of(traded) == sum(trade.qty for trade in account.trades)


TestFuturesMarket = FuturesMarket.TestCase
TestFuturesMarket.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
