"""The spot market: taking orders, settling to the last unit, cancelling, telling the user stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qtm.clock import Clock
from qtm.market.instruments import Instrument
from qtm.paper.book import Book
from qtm.paper.errors import (
    ApiError,
    insufficient_balance,
    invalid_symbol,
    unknown_order,
)
from qtm.paper.klines import KlineHistory
from qtm.paper.limits import OrderLimits, RateLimit
from qtm.paper.matching import BookOrder
from qtm.paper.spot import conditional, quoting, self_trade, settlement, smart_routing
from qtm.paper.spot.accounts import SpotAccount, Treasury
from qtm.paper.spot.admission import check_new
from qtm.paper.spot.archive import OrderArchive
from qtm.paper.spot.fees import FeeRates
from qtm.paper.spot.lists import OrderList, OrderLists
from qtm.paper.spot.orders import LIMIT_TYPES, STOP_TYPES, Amendment, NewOrder, SpotOrder, SpotTrade
from qtm.paper.spot.persistence import SpotStore
from qtm.paper.spot.requests import generated_id
from qtm.paper.spot.symbols import SpotSymbol
from qtm.paper.spot.user_events import account_position, execution_report
from qtm.paper.venue import TAPE_LENGTH, MarketTrade, SymbolMarket, Venue
from qtm.paper.wire import E8, text_of
from qtm.trading.costs import CostModel

RATE_LIMITS = (
    RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 6000),
    RateLimit("ORDERS", "SECOND", 10, 100),
    RateLimit("ORDERS", "DAY", 1, 200_000),
    RateLimit("RAW_REQUESTS", "MINUTE", 5, 300_000),
)

CANCEL_RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


class SpotVenue(Venue):
    """Accounts and orders of the spot market on top of the shared book, tape and clock."""

    def __init__(
        self, costs: CostModel, *, rate_limits: tuple[RateLimit, ...] = RATE_LIMITS, wall: Clock | None = None
    ) -> None:
        super().__init__(wall)
        self.costs = costs
        self.rate_limits = rate_limits
        self.symbols: dict[str, SpotSymbol] = {}
        self.accounts: dict[str, SpotAccount] = {}
        self.treasury = Treasury()
        self.archive = OrderArchive()
        self.lists = OrderLists(self)
        self.stops: dict[str, dict[int, SpotOrder]] = {}
        self.blocks: dict[str, deque[MarketTrade]] = {}
        """Trades agreed outside the books, by symbol."""
        self.block_listeners: list[Callable[[SymbolMarket, MarketTrade], None]] = []
        self.exchange_filters: list[dict[str, Any]] = []
        self.store: SpotStore | None = None
        self.last_order_id = 0
        self.last_execution_id = 0
        self.last_prevented_id = 0
        self.last_allocation_id = -1

    # --- listing and accounts ------------------------------------------------------------------------------
    def add_market(self, instrument: Instrument, klines: KlineHistory) -> SymbolMarket:
        """List a symbol."""
        self.symbols[instrument.symbol] = SpotSymbol(instrument)
        self.stops[instrument.symbol] = {}
        self.blocks[instrument.symbol] = deque(maxlen=TAPE_LENGTH)
        return super().add_market(instrument, klines)

    def open_account(self, name: str, *, fees: FeeRates | None = None) -> SpotAccount:
        """Open an account with empty balances."""
        account = SpotAccount(
            name,
            10_000_000 + len(self.accounts),
            fees or FeeRates.of(self.costs),
            OrderLimits(self.rate_limits, self.clock.ahead_s),
            self.archive,
        )
        for market in self.symbols.values():
            account.balance(market.base)
            account.balance(market.quote)
        self.accounts[name] = account
        return account

    def deposit(self, account: SpotAccount, asset: str, units: int) -> None:
        """Add (or with negative units withdraw) an amount; publishes balanceUpdate."""
        if account.balance(asset).free + units < 0:
            raise insufficient_balance()
        account.receive(asset, units)
        Treasury.move(self.treasury.deposited, asset, units)
        now = self.clock.now_us()
        account.publish({"e": "balanceUpdate", "E": now, "a": asset, "d": text_of(units), "T": now})
        self.publish_position(account)
        if self.store is not None:
            self.store.commit(self)

    def change_filters(self, symbol: str, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace filters of a symbol; those of a new type join the others."""
        return self.symbols[symbol].change_filters(filters)

    def print_block(self, symbol: str, block_id: int, price: int, qty: int, *, buyer_is_maker: bool) -> None:
        """A block trade of the market: told, but no part of the tape, the candles or the last price."""
        trade = MarketTrade(block_id, price, qty, price * qty // E8, self.clock.now_us(), buyer_is_maker)
        self.blocks[symbol].append(trade)
        for tell in self.block_listeners:
            tell(self.markets[symbol], trade)

    def symbol(self, name: str) -> SpotSymbol:
        """The listing; raises -1121."""
        found = self.symbols.get(name)
        if found is None:
            raise invalid_symbol()
        return found

    # --- placing -------------------------------------------------------------------------------------------
    def place(self, account: SpotAccount, request: NewOrder) -> SpotOrder:
        """Take an order: check, lock, announce, match, rest or expire."""
        check_new(self, account, request)
        order = self.new_order(account, request)
        if request.type == "MARKET":
            quoting.size_market_order(self, order)
        account.limits.check(1, self.wall.now_ms() / 1000)
        self.lock_for(account, order)
        account.limits.charge(1, self.wall.now_ms() / 1000)
        self.accept(account, order)
        self.activate(account, order)
        self.conclude(order.symbol)
        return order

    def new_order(self, account: SpotAccount, request: NewOrder) -> SpotOrder:
        """An order object with the next id; nothing is locked or announced."""
        self.last_order_id += 1
        return SpotOrder(self.last_order_id, account.name, request, self.clock.now_us())

    def lock_for(self, account: SpotAccount, order: SpotOrder) -> None:
        """Lock what the order may spend; raises -2010 when it is not there."""
        asset, units = self.lock_needed(order)
        if account.balance(asset).free < units:
            raise insufficient_balance()
        account.lock(asset, units)
        order.locked = units

    def lock_needed(self, order: SpotOrder) -> tuple[str, int]:
        """Asset and units an order must hold locked for what remains of it."""
        symbol = self.symbols[order.symbol]
        if not order.buy:
            return symbol.base, order.remaining
        if order.type == "MARKET":
            return symbol.quote, quoting.market_cost(self, order)
        price = order.price or order.stop_price or self.markets[order.symbol].last_price
        return symbol.quote, -(-price * order.remaining // E8)

    def accept(self, account: SpotAccount, order: SpotOrder, status: str = "NEW") -> None:
        """Enter an order in the account's books and announce it."""
        order.status = status
        account.symbol(order.symbol).add(order)
        account.open_orders[order.id] = order
        account.open_client_ids[order.symbol, order.client_id] = order
        if order.type not in STOP_TYPES and status == "NEW":
            order.working = True
            order.working_us = order.time_us
        self.report(account, order, "NEW")

    def activate(self, account: SpotAccount, order: SpotOrder) -> None:
        """Let an accepted order wait for its trigger, or match and rest."""
        if order.type in STOP_TYPES and not order.working:
            conditional.start(self.markets[order.symbol], order)
            self.stops[order.symbol][order.id] = order
            return
        self.work(account, order)

    def work(self, account: SpotAccount, order: SpotOrder) -> None:
        """Match an order that is working; rest what remains, or expire it by its time in force."""
        book = self.markets[order.symbol].book
        limit = order.price if order.type in LIMIT_TYPES else None
        immediate = limit is None or order.tif in ("IOC", "FOK")
        fill_or_kill = order.tif == "FOK" and limit is not None
        if fill_or_kill and not self._fills_whole(book, order, limit):
            self.expire(account, order, "UNFILLED_FOK_ORDER_EXPIRED")
            return
        if order.used_sor:
            smart_routing.route(self, order, limit)
        else:
            self.match(order.symbol, book, order, limit)
        if order.id not in account.open_orders:
            return
        if order.remaining <= 0:
            self.complete(order.symbol, order)
        elif immediate:
            reason = "INSUFFICIENT_LIQUIDITY" if limit is None else "UNFILLED_IOC_QUANTITY_EXPIRED"
            self.expire(account, order, reason)
        else:
            order.show()
            order.book_price = order.price
            if order.used_sor:
                order.working_floor = "EXCHANGE"
            book.add(order.id, order, buy=order.buy)

    def _fills_whole(self, book: Book, order: SpotOrder, limit: int | None) -> bool:
        """Whether all of an order could trade now."""
        if not order.used_sor:
            return self.available(book, order, limit, order.remaining) >= order.remaining
        side = book.opposite(buy=order.buy)
        reachable = sum(qty for price, qty in quoting.offers(self, order) if side.reaches(price, limit))
        return reachable >= order.remaining

    # --- matching hooks ------------------------------------------------------------------------------------
    def settle(
        self,
        symbol: str,
        taker: BookOrder | None,
        maker: BookOrder | None,
        price: int,
        qty: int,
        *,
        taker_buys: bool,
    ) -> None:
        """Book one trade on both sides and print it."""
        for party in (maker, taker):
            if isinstance(party, SpotOrder):
                self.lists.before_fill(party)
        trade = self.record_trade(self.markets[symbol], price, qty, buyer_is_maker=not taker_buys)
        for party, is_maker in ((maker, True), (taker, False)):
            if isinstance(party, SpotOrder):
                settlement.fill(self, party, price, qty, is_maker=is_maker, trade_id=trade.id)

    def prevent_self_trade(self, symbol: str, taker: BookOrder, maker: BookOrder) -> bool:
        """Self-trade prevention; see `qtm.paper.spot.self_trade`."""
        assert isinstance(taker, SpotOrder)
        assert isinstance(maker, SpotOrder)
        return self_trade.prevent(self, taker, maker)

    def complete(self, symbol: str, order: BookOrder) -> None:
        """An order has nothing left to trade."""
        assert isinstance(order, SpotOrder)
        self.close(self.accounts[order.account], order)

    def price_moved(self, symbol: str) -> None:
        """Conditional orders look at the last price."""
        conditional.trigger(self, symbol)

    def stop_prices(self, symbol: str) -> Iterator[tuple[int, bool]]:
        """Trigger prices of waiting stop-losses."""
        for order in self.stops[symbol].values():
            if order.type.startswith("STOP_LOSS") and order.trailing_delta is None:
                yield order.stop_price, order.buy

    def settled(self, symbol: str) -> None:
        """An event is complete: balances, then the book."""
        while self.lists.activate_due():
            self.price_moved(symbol)
        for account in self.accounts.values():
            if account.changed:
                self.publish_position(account)
        if self.store is not None and self.store.pending:
            self.store.commit(self)
        super().settled(symbol)

    def conclude(self, symbol: str) -> None:
        """After an account's action: triggers first, then everybody is told."""
        self.price_moved(symbol)
        self.settled(symbol)

    # --- closing -------------------------------------------------------------------------------------------
    def close(self, account: SpotAccount, order: SpotOrder) -> None:
        """Take a finished order out of the open ones and release what it still locks."""
        if order.locked:
            symbol = self.symbols[order.symbol]
            account.unlock(symbol.quote if order.buy else symbol.base, order.locked)
            order.locked = 0
        account.open_orders.pop(order.id, None)
        account.open_client_ids.pop((order.symbol, order.client_id), None)
        self.stops[order.symbol].pop(order.id, None)
        account.symbol(order.symbol).close(order)
        self.lists.closed(order)

    def leave_book(self, order: SpotOrder) -> None:
        """Take an order out of the book if it rests there."""
        side = self.markets[order.symbol].book.side(buy=order.buy)
        level = side.levels.get(order.book_price)
        if level is not None and order.id in level.orders:
            self.markets[order.symbol].book.remove(order.id, order, buy=order.buy)

    def expire(self, account: SpotAccount, order: SpotOrder, reason: str, status: str = "EXPIRED") -> None:
        """End an order that the venue will not keep."""
        self.leave_book(order)
        order.status = status
        order.expiry_reason = reason
        order.update_us = self.clock.now_us()
        self.report(account, order, "EXPIRED")
        self.close(account, order)

    def find_open(
        self, account: SpotAccount, symbol: str, order_id: int | None, client_id: str | None
    ) -> SpotOrder:
        """An open order by id and/or client id; raises -2011."""
        order = account.open_orders.get(order_id) if order_id is not None else None
        if order_id is None and client_id is not None:
            order = account.open_client_ids.get((symbol, client_id))
        if (
            order is None
            or order.symbol != symbol
            or (client_id is not None and order.client_id != client_id)
        ):
            raise unknown_order()
        return order

    def find(
        self, account: SpotAccount, symbol: str, order_id: int | None, client_id: str | None
    ) -> SpotOrder:
        """Any order by id and/or client id; raises -2013, -2026 or -2039."""
        return account.symbol(symbol).find(order_id, client_id, self.clock.now_us())

    def cancel(
        self, account: SpotAccount, order: SpotOrder, cancel_id: str, *, restriction: str | None = None
    ) -> list[SpotOrder]:
        """Cancel an order, and with it the order list it belongs to; returns every order cancelled."""
        if restriction is not None and order.status != CANCEL_RESTRICTIONS[restriction]:
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        group = self.lists.open_orders_of(order)
        for member in reversed(group):  # what waits for another goes first
            self._cancel_one(account, member, cancel_id if member is order else "")
        self.conclude(order.symbol)
        return group

    def amend(self, account: SpotAccount, order: SpotOrder, qty: int, client_id: str) -> Amendment:
        """Reduce an open order's quantity; it keeps its place in the queue."""
        self.last_execution_id += 1
        amendment = Amendment(
            self.last_execution_id, order.client_id, client_id, order.qty, qty, self.clock.now_us()
        )
        order.amendments.append(amendment)
        history = account.symbol(order.symbol)
        history.by_client_id[client_id] = order
        del account.open_client_ids[order.symbol, order.client_id]
        account.open_client_ids[order.symbol, client_id] = order
        order.client_id, order.qty, order.update_us = client_id, qty, amendment.time_us
        market = self.markets[order.symbol]
        level = market.book.side(buy=order.buy).levels.get(order.book_price)
        if level is not None and order.id in level.orders:
            order.display = min(order.display, order.remaining)
            market.book.side(buy=order.buy).touched.add(order.book_price)
            market.book.update_id += 1
        if order.status != "PENDING_NEW":
            settlement.release_surplus(self, account, order)
        self.report(account, order, "REPLACED", C=amendment.orig_client_id)
        self.conclude(order.symbol)
        return amendment

    def cancel_list(self, account: SpotAccount, group: OrderList, cancel_id: str) -> list[SpotOrder]:
        """Cancel all open orders of a list."""
        members = [order for order in group.orders if order.is_open]
        for member in reversed(members):
            self._cancel_one(account, member, cancel_id)
        self.conclude(group.symbol)
        return members

    def _cancel_one(self, account: SpotAccount, order: SpotOrder, cancel_id: str) -> None:
        if not order.is_open:
            return
        self.leave_book(order)
        order.cancel_id = cancel_id or generated_id()
        order.status = "CANCELED"
        order.update_us = self.clock.now_us()
        self.report(account, order, "CANCELED", c=order.cancel_id, C=order.client_id)
        self.close(account, order)

    # --- telling -------------------------------------------------------------------------------------------
    def report(
        self,
        account: SpotAccount,
        order: SpotOrder,
        execution: str,
        *,
        trade: SpotTrade | None = None,
        **extra: Any,
    ) -> None:
        """Publish an executionReport."""
        self.last_execution_id += 1
        if self.store is not None:
            self.store.note(order, trade)
        if account.listeners:
            event = execution_report(
                order, execution, self.last_execution_id, self.clock.now_us(), trade=trade
            )
            event.update(extra)
            account.publish(event)

    def publish_position(self, account: SpotAccount) -> None:
        """Publish outboundAccountPosition with the balances that changed."""
        now = self.clock.now_us()
        account.update_time_ms = now // 1000
        assets = sorted(account.changed)
        account.changed.clear()
        if account.listeners and assets:
            account.publish(account_position(account, assets, now))
