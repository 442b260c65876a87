"""Whatever accounts, market, operators and the wire do: no unit of any asset appears or disappears, the book
and the accounts agree, and user events (asked again where some were lost) rebuild every account exactly.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from qtm.paper.errors import ApiError
from qtm.paper.faults import FaultRule, Faults
from qtm.paper.gateway import Call
from qtm.paper.klines import KlineHistory
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params
from qtm.paper.spot.application import spot_application
from qtm.paper.spot.orders import LIMIT_TYPES, OPEN, STOP_TYPES, NewOrder, SpotOrder
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import E8, text_of, units_of
from qtm.trading.costs import SPOT_COSTS
from tests.paper.following_client import FollowingClient
from tests.paper.worlds import instrument

TICK = units_of("0.01")
STEP = units_of("0.00001")
NAMES = ("alice", "bob")
REFUSALS = {-1013, -2010, -2011, -2021, -2022, -2038, -1158, -1165, -1166}

prices = st.integers(9_900, 10_100).map(lambda ticks: ticks * TICK)
quantities = st.integers(5_000, 200_000).map(lambda lots: lots * STEP)
sides = st.booleans()
who = st.sampled_from(NAMES)
modes = st.sampled_from(["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"])


class AnyTrading(RuleBasedStateMachine):
    """Orders of every type, cancels, amendments, lists, and a market that jumps about."""

    @initialize(bnb=st.booleans())
    def open_venue(self, bnb: bool) -> None:
        self.venue = SpotVenue(SPOT_COSTS)
        for names in (("BTCUSDT", "BTC", "USDT"), ("BNBUSDT", "BNB", "USDT"), ("BTCUSDC", "BTC", "USDC")):
            self.venue.add_market(instrument(*names), KlineHistory.empty("1m"))
        self.venue.clock.set_ms(1_700_000_000_000)
        self.venue.markets["BNBUSDT"].last_price = 50 * E8
        for symbol in ("BTCUSDT", "BTCUSDC"):
            self.venue.markets[symbol].last_price = 100 * E8
        self.events: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        self.faults = Faults(1, on_strike=lambda kind, what: self.struck_client.struck(kind, what))
        application, _ = spot_application(self.venue, self.faults, Metrics("spot"))
        self.operations = application.gateway.operations
        self.clients: dict[str, FollowingClient] = {}
        self.orders: list[SpotOrder] = []
        self.serial = 0
        for name in NAMES:
            account = self.venue.open_account(name)
            account.listeners.append(self.events[name].append)
            client = FollowingClient(self.faults, partial(self._ask, name))
            self.clients[name] = client
            account.listeners.append(partial(self._over_the_wire, client))
            account.fees.bnb_discount = bnb and name == "alice"
            account.limits.counters.clear()
            for asset, amount in (("USDT", 3_000), ("BTC", 30), ("BNB", 1)):
                self.venue.deposit(account, asset, amount * E8)
        self._depth(10_000, 5)

    def _over_the_wire(self, client: FollowingClient, event: dict[str, Any]) -> None:
        self.struck_client = client
        client(event)

    def _ask(self, name: str, operation: str, **params: Any) -> Any:
        """Run an operation as REST and the WebSocket API do."""
        texts = Params({key: str(value) for key, value in params.items()})
        return self.operations[operation].run(Call(texts, self.venue.accounts[name], None))

    def _enter(self, name: str, operation: str, **params: Any) -> None:
        """Try an operation; the orders it made join the others."""
        before = self.venue.last_order_id
        try:
            self._ask(name, operation, symbol="BTCUSDT", **params)
        except ApiError as error:
            assert error.code in REFUSALS, error
        account = self.venue.accounts[name]
        for order_id in range(before + 1, self.venue.last_order_id + 1):
            if order_id in account.open_orders:
                self.orders.append(account.open_orders[order_id])

    def _depth(self, mid: int, gap: int) -> None:
        for symbol, lots in (("BTCUSDT", 30_000), ("BTCUSDC", 10_000)):
            self.venue.set_depth(
                symbol,
                [((mid - gap - i) * TICK, (i + 1) * lots * STEP) for i in range(4)],
                [((mid + gap + i) * TICK, (i + 1) * lots * STEP) for i in range(4)],
            )

    def _request(self, **fields: Any) -> NewOrder:
        self.serial += 1
        return NewOrder(symbol="BTCUSDT", client_id=f"c{self.serial}", **fields)

    def _place(self, name: str, request: NewOrder) -> None:
        try:
            order = self.venue.place(self.venue.accounts[name], request)
        except ApiError as error:
            assert error.code in (-2010, -1013)
        else:
            self.orders.append(order)

    @rule(
        name=who,
        buy=sides,
        price=prices,
        qty=quantities,
        tif=st.sampled_from(["GTC", "IOC", "FOK"]),
        stp=modes,
    )
    def limit(self, name: str, buy: bool, price: int, qty: int, tif: str, stp: str) -> None:
        self._place(name, self._request(buy=buy, type="LIMIT", tif=tif, price=price, qty=qty, stp=stp))

    @rule(name=who, buy=sides, price=prices, qty=quantities, parts=st.integers(2, 9))
    def iceberg(self, name: str, buy: bool, price: int, qty: int, parts: int) -> None:
        shown = max(STEP, qty // parts // STEP * STEP)
        self._place(
            name,
            self._request(buy=buy, type="LIMIT", price=price, qty=qty, iceberg=shown, stp="EXPIRE_MAKER"),
        )

    @rule(name=who, buy=sides, qty=quantities, stp=modes)
    def market_order(self, name: str, buy: bool, qty: int, stp: str) -> None:
        self._place(name, self._request(buy=buy, type="MARKET", qty=qty, stp=stp))

    @rule(name=who, buy=sides, quote=st.integers(6, 500), stp=modes)
    def market_for_quote(self, name: str, buy: bool, quote: int, stp: str) -> None:
        request = self._request(buy=buy, type="MARKET", quote_qty=quote * E8, stp=stp)
        self._place(name, request)
        placed = self.orders[-1] if self.orders else None
        if buy and placed is not None and placed.client_id == request.client_id:
            assert placed.quote_executed <= quote * E8

    @rule(
        name=who,
        buy=sides,
        kind=st.sampled_from(sorted(STOP_TYPES)),
        stop=prices,
        price=prices,
        qty=quantities,
        delta=st.none() | st.integers(10, 300),
    )
    def conditional(
        self, name: str, buy: bool, kind: str, stop: int, price: int, qty: int, delta: int | None
    ) -> None:
        limit = price if kind in LIMIT_TYPES else None
        self._place(
            name,
            self._request(
                buy=buy,
                type=kind,
                stop_price=stop,
                price=limit,
                qty=qty,
                trailing_delta=delta,
                stp="EXPIRE_MAKER",
            ),
        )

    @rule(
        name=who, qty=quantities, low=st.integers(9_900, 9_990), high=st.integers(10_010, 10_100), buy=sides
    )
    def oco(self, name: str, qty: int, low: int, high: int, buy: bool) -> None:
        maker = self._request(
            buy=buy, type="LIMIT_MAKER", price=(low if buy else high) * TICK, qty=qty, stp="EXPIRE_MAKER"
        )
        stop = self._request(
            buy=buy, type="STOP_LOSS_LIMIT", stop_price=(high if buy else low) * TICK,
            price=(high if buy else low) * TICK, qty=qty, stp="EXPIRE_MAKER",
        )  # fmt: skip
        legs = (stop, maker) if buy else (maker, stop)
        self._list(lambda lists, account: lists.place_oco(account, *legs, f"l{self.serial}"), name)

    @rule(name=who, qty=quantities, price=prices, exit_price=prices, buy=sides)
    def oto(self, name: str, qty: int, price: int, exit_price: int, buy: bool) -> None:
        first = self._request(buy=buy, type="LIMIT", price=price, qty=qty, stp="EXPIRE_MAKER")
        then = self._request(buy=not buy, type="LIMIT", price=exit_price, qty=qty, stp="EXPIRE_MAKER")
        self._list(lambda lists, account: lists.place_oto(account, first, [then], f"l{self.serial}"), name)

    @rule(name=who, qty=quantities, price=prices, exit_price=prices, market=sides)
    def opo(self, name: str, qty: int, price: int, exit_price: int, market: bool) -> None:
        first = self._request(buy=True, type="LIMIT", price=price, qty=qty, stp="EXPIRE_MAKER")
        kind, at = ("MARKET", None) if market else ("LIMIT", exit_price)
        then = self._request(buy=False, type=kind, price=at, stp="EXPIRE_MAKER")
        self._list(
            lambda lists, account: lists.place_oto(account, first, [then], f"l{self.serial}", pays=True), name
        )

    @rule(name=who, buy=sides, price=st.none() | prices, qty=quantities, stp=modes,
          tif=st.sampled_from(["GTC", "IOC", "FOK"]))  # fmt: skip
    def routed(self, name: str, buy: bool, price: int | None, qty: int, stp: str, tif: str) -> None:
        kind = "LIMIT" if price else "MARKET"
        self._place(name, self._request(buy=buy, type=kind, price=price, qty=qty, tif=tif, stp=stp, sor=True))

    def _list(self, place: Any, name: str) -> None:
        try:
            group = place(self.venue.lists, self.venue.accounts[name])
        except ApiError as error:
            assert error.code in (-2010, -1013)
        else:
            self.orders.extend(group.orders)

    @rule(name=who, qty=quantities, price=prices, buy=sides, low=st.integers(9_900, 9_990),
          high=st.integers(10_010, 10_100),
          kind=st.sampled_from(["STOP_LOSS", "STOP_LOSS_LIMIT"]))  # fmt: skip
    def otoco(self, name: str, qty: int, price: int, buy: bool, low: int, high: int, kind: str) -> None:
        self.serial += 1
        stop, maker = ("Above", "Below") if buy else ("Below", "Above")
        at = {"Above": text_of(high * TICK), "Below": text_of(low * TICK)}
        more = {"TimeInForce": "GTC", "Price": at[stop]} if kind == "STOP_LOSS_LIMIT" else {}
        self._enter(
            name, "orderList.otoco", listClientOrderId=f"t{self.serial}", workingType="LIMIT",
            workingSide="SELL" if buy else "BUY", workingQuantity=text_of(qty), workingPrice=text_of(price),
            workingTimeInForce="GTC", pendingSide="BUY" if buy else "SELL", pendingQuantity=text_of(qty),
            **{f"pending{stop}Type": kind, f"pending{stop}StopPrice": at[stop],
               f"pending{maker}Type": "LIMIT_MAKER", f"pending{maker}Price": at[maker]},
            **{f"pending{stop}{field}": value for field, value in more.items()},
        )  # fmt: skip

    @rule(name=who, buy=sides, kind=st.sampled_from(["PRIMARY_PEG", "MARKET_PEG"]), qty=quantities,
          maker=sides)  # fmt: skip
    def pegged(self, name: str, buy: bool, kind: str, qty: int, maker: bool) -> None:
        tif = {} if maker else {"timeInForce": "GTC"}
        self._enter(name, "order.place", side="BUY" if buy else "SELL", quantity=text_of(qty),
                    type="LIMIT_MAKER" if maker else "LIMIT", pegPriceType=kind, **tif)  # fmt: skip

    @rule(which=st.integers(0, 10**6), price=prices, qty=quantities, buy=sides,
          mode=st.sampled_from(["STOP_ON_FAILURE", "ALLOW_FAILURE"]), stale=sides)  # fmt: skip
    def cancel_replace(self, which: int, price: int, qty: int, buy: bool, mode: str, stale: bool) -> None:
        opened = [order for order in self.orders if order.is_open]
        if opened:
            order = opened[which % len(opened)]
            self._enter(
                order.account, "order.cancelReplace", cancelReplaceMode=mode, type="LIMIT", timeInForce="GTC",
                side="BUY" if buy else "SELL", price=text_of(price), quantity=text_of(qty),
                cancelOrderId=1_000_000 if stale else order.id,
            )  # fmt: skip

    @rule(which=st.integers(0, 10**6))
    def cancel_list(self, which: int) -> None:
        opened = [order for order in self.orders if order.is_open and order.list_id >= 0]
        if opened:
            order = opened[which % len(opened)]
            self._enter(order.account, "orderList.cancel", orderListId=order.list_id)

    @rule(name=who)
    def cancel_all(self, name: str) -> None:
        self._enter(name, "openOrders.cancelAll")

    @rule(status=st.sampled_from(["TRADING", "TRADING", "TRADING", "HALT"]))
    def trading_stops_or_goes_on(self, status: str) -> None:
        self.venue.markets["BTCUSDT"].status = status

    @rule(least=st.sampled_from(["0.00001000", "0.50000000"]), notional=st.sampled_from(["5", "50"]))
    def filters_change(self, least: str, notional: str) -> None:
        self.venue.change_filters(
            "BTCUSDT",
            [{"filterType": "LOT_SIZE", "minQty": least, "maxQty": "9000.00000000", "stepSize": "0.00001000"},
             {"filterType": "NOTIONAL", "minNotional": notional, "applyMinToMarket": True,
              "maxNotional": "9000000", "applyMaxToMarket": False, "avgPriceMins": 0}],
        )  # fmt: skip

    @rule(name=who, asset=st.sampled_from(["USDT", "BTC", "BNB"]), cents=st.integers(-50_000, 50_000))
    def money_moves(self, name: str, asset: str, cents: int) -> None:
        try:
            self.venue.deposit(self.venue.accounts[name], asset, cents * E8 // 100)
        except ApiError as error:
            assert error.code == -2010

    @rule(kinds=st.lists(st.sampled_from(["lost", "duplicated", "late", "reordered"]), max_size=3),
          what=st.sampled_from(["*", "executionReport", "outboundAccountPosition"]))  # fmt: skip
    def the_wire_gets_worse_or_better(self, kinds: list[str], what: str) -> None:
        self.faults.clear()
        for kind in kinds:
            self.faults.add(FaultRule(f"event_{kind}", what, probability=0.3))

    @rule(name=who)
    def a_client_asks(self, name: str) -> None:
        self.clients[name].recover("BTCUSDT")

    @rule(which=st.integers(0, 10**6))
    def cancel(self, which: int) -> None:
        opened = [order for order in self.orders if order.is_open]
        if opened:
            order = opened[which % len(opened)]
            self.venue.cancel(self.venue.accounts[order.account], order, "")

    @rule(which=st.integers(0, 10**6), share=st.floats(0.1, 0.9))
    def amend(self, which: int, share: float) -> None:
        opened = [order for order in self.orders if order.is_open]
        if not opened:
            return
        order = opened[which % len(opened)]
        qty = int(order.qty * share) // STEP * STEP
        if order.executed + order.prevented_qty < qty < order.qty:
            self.serial += 1
            self.venue.amend(self.venue.accounts[order.account], order, qty, f"c{self.serial}")

    @rule(mid=st.integers(9_905, 10_095), gap=st.integers(1, 8))
    def market_moves(self, mid: int, gap: int) -> None:
        self.venue.move_clock(self.venue.clock.now_ms() + 1000)
        self._depth(mid, gap)

    @rule(price=prices, qty=quantities, maker=sides, strict=st.booleans())
    def market_trades(self, price: int, qty: int, maker: bool, strict: bool) -> None:
        self.venue.print_trade("BTCUSDT", price, qty, buyer_is_maker=maker, strict=strict)

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        pots = self.venue.treasury
        for asset in ("BTC", "USDT", "BNB"):
            held = sum(
                account.balance(asset).free + account.balance(asset).locked
                for account in self.venue.accounts.values()
            )
            assert held + pots.market.get(asset, 0) + pots.fees.get(asset, 0) == pots.deposited[asset]

    @invariant()
    def nothing_is_negative_and_locks_belong_to_open_orders(self) -> None:
        for account in self.venue.accounts.values():
            locked = {"BTC": 0, "USDT": 0, "BNB": 0}
            for order in account.open_orders.values():
                assert order.locked >= 0
                locked["USDT" if order.buy else "BTC"] += order.locked
            for asset, units in locked.items():
                balance = account.balance(asset)
                assert balance.free >= 0
                assert balance.locked == units

    @invariant()
    def the_book_holds_exactly_the_working_orders(self) -> None:
        book = self.venue.markets["BTCUSDT"].book
        resting = {
            order_id: order
            for side in (book.bids, book.asks)
            for level in side.levels.values()
            for order_id, order in level.orders.items()
        }
        opened = {
            order.id: order
            for account in self.venue.accounts.values()
            for order in account.open_orders.values()
            if order.working
        }
        assert resting.keys() == opened.keys()
        for order in opened.values():
            assert 0 < order.display <= order.remaining

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        book = self.venue.markets["BTCUSDT"].book
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is None or ask is None or bid[0] < ask[0]

    @invariant()
    def replaying_the_events_rebuilds_the_account(self) -> None:
        for name, events in self.events.items():
            account = self.venue.accounts[name]
            balances: dict[str, tuple[str, str]] = {}
            orders: dict[int, dict[str, Any]] = {}
            for event in events:
                if event["e"] == "outboundAccountPosition":
                    balances |= {row["a"]: (row["f"], row["l"]) for row in event["B"]}
                elif event["e"] == "executionReport":
                    orders[event["i"]] = event
            for asset, (free, locked) in balances.items():
                balance = account.balance(asset)
                assert (units_of(free), units_of(locked)) == (balance.free, balance.locked)
            for order in account.symbol("BTCUSDT").orders.values():
                seen = orders[order.id]
                assert (seen["X"], units_of(seen["z"])) == (order.status, order.executed)
                assert (units_of(seen["q"]), units_of(seen["Z"])) == (order.qty, order.quote_executed)

    @invariant()
    def a_client_that_only_hears_events_knows_its_account(self) -> None:
        for name, client in self.clients.items():
            if client.dirty or client.waiting:
                continue
            account = self.venue.accounts[name]
            for asset, (free, locked) in client.balances.items():
                assert (free, locked) == (account.balance(asset).free, account.balance(asset).locked)
            for order in [o for o in self.orders if o.account == name]:
                known = (order.status, order.qty, order.executed, order.quote_executed)
                assert client.orders[order.id] == known

    def teardown(self) -> None:
        if not hasattr(self, "clients"):
            return
        self.faults.clear()
        for name, client in self.clients.items():
            client.recover("BTCUSDT")
            assert not client.dirty
            opened = {order_id for order_id, (status, *_) in client.orders.items() if status in OPEN}
            assert opened == set(self.venue.accounts[name].open_orders)
        self.a_client_that_only_hears_events_knows_its_account()


TestAnyTrading = AnyTrading.TestCase
TestAnyTrading.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_long_trading() -> None:
    run_state_machine_as_test(
        AnyTrading, settings=settings(max_examples=1500, stateful_step_count=80, deadline=None, database=None)
    )
