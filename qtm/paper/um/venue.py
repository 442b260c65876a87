"""The USD-M futures market: contracts, accounts, prices, orders from entry to end, and their trades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qtm.clock import Clock
from qtm.market.instruments import Instrument
from qtm.paper.errors import ApiError, invalid_symbol, no_such_order, unknown_order
from qtm.paper.klines import KlineHistory
from qtm.paper.limits import OrderLimits, RateLimit
from qtm.paper.matching import BookOrder
from qtm.paper.um import adl, algo, liquidation, margin, orders
from qtm.paper.um.accounts import Income, UmAccount
from qtm.paper.um.brackets import Bracket
from qtm.paper.um.checks import check_order
from qtm.paper.um.funding import HOUR_MS, FundingSchedule
from qtm.paper.um.index_price import IndexSource
from qtm.paper.um.mark_price import MarkPrices
from qtm.paper.um.orders import NewUmOrder, UmOrder
from qtm.paper.um.settlement import book_fill
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.um.treasury import ENDOWMENT, InsuranceFund, Treasury
from qtm.paper.um.user_events import UserEvents
from qtm.paper.venue import MarketTrade, SymbolMarket, Venue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import CostModel

RATE_LIMITS = (
    RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 2400),
    RateLimit("ORDERS", "MINUTE", 1, 1200),
    RateLimit("ORDERS", "SECOND", 10, 300),
)


class UmVenue(Venue):
    """Accounts, orders and positions of the futures market on top of the shared book, tape and clock.

    Parameters
    ----------
    index
        Where index prices come from; the contracts' own middle prices without one.
    brackets
        Leverage brackets by symbol; the packaged tables for the others.
    insurance
        What the insurance fund of each asset begins with, in 1e-8 units.
    """

    def __init__(
        self,
        costs: CostModel,
        *,
        rate_limits: tuple[RateLimit, ...] = RATE_LIMITS,
        wall: Clock | None = None,
        index: IndexSource | None = None,
        brackets: Mapping[str, tuple[Bracket, ...]] | None = None,
        insurance: int = ENDOWMENT * E8,
    ) -> None:
        super().__init__(wall)
        self.costs = costs
        self.rate_limits = rate_limits
        self.symbols: dict[str, UmSymbol] = {}
        self.accounts: dict[str, UmAccount] = {}
        self.prices = MarkPrices(index)
        self.funding = FundingSchedule()
        self.treasury = Treasury()
        self.fund = InsuranceFund(insurance)
        self.events = UserEvents(self)
        self.watchers: list[liquidation.LiquidationWatcher] = []
        self.last_order_id = 0
        self.last_algo_id = 0
        self.last_amendment_id = 0
        self.last_transaction = 0
        self._brackets = brackets or {}
        self._busy = False

    # --- listing and accounts ------------------------------------------------------------------------------
    def add_market(self, instrument: Instrument, klines: KlineHistory) -> SymbolMarket:
        """List a contract."""
        name = instrument.symbol
        self.symbols[name] = UmSymbol.of(instrument, self._brackets.get(name, ()))
        market = super().add_market(instrument, klines)
        self.prices.list_symbol(market)
        self.funding.list_symbol(name)
        return market

    def open_account(self, name: str) -> UmAccount:
        """Open an account with empty wallets."""
        rates = units_of(self.costs.maker_rate), units_of(self.costs.taker_rate)
        account = UmAccount(
            name, 20_000_000 + len(self.accounts), *rates, OrderLimits(self.rate_limits, self.clock.ahead_s)
        )
        self.accounts[name] = account
        return account

    def deposit(self, account: UmAccount, asset: str, units: int) -> None:
        """Transfer an amount in (negative: out); -2018 when it is not available."""
        if units < 0 and margin.asset_margin(self, account, asset).withdrawable < -units:
            raise ApiError(-2018, "Balance is insufficient.")
        self.treasury.receive("deposited", asset, units)
        self.book_income(account, "", "TRANSFER", asset, units)
        self.events.account(account, "DEPOSIT" if units >= 0 else "WITHDRAW", {asset: units})
        self.keep(account)

    def change_filters(self, symbol: str, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace filters of a contract."""
        changed = self.symbols[symbol] = self.symbols[symbol].with_filters(filters)
        return changed.filters()

    def relist(self, symbol: str, listing: Mapping[str, Any]) -> None:
        """Take over what another venue's exchangeInfo says of a contract."""
        self.symbols[symbol] = self.symbols[symbol].relisted(listing)

    def symbol(self, name: str) -> UmSymbol:
        """The contract; raises -1121."""
        found = self.symbols.get(name)
        if found is None:
            raise invalid_symbol()
        return found

    # --- prices and funding --------------------------------------------------------------------------------
    def mark(self, symbol: str) -> int:
        """Mark price; the last price before there is one."""
        return self.prices.mark(symbol) or self.markets[symbol].last_price

    def funding_rate(self, symbol: str) -> int:
        """The rate announced for the next settlement, in 1e-8.

        It is estimated from the premium. A replay with given rates but no index has no premium to go by: it
        announces the rate last settled. A mirror announces what it was told.
        """
        if symbol in self.funding.announced:
            return self.funding.announced[symbol].rate
        if symbol in self.funding.given and not self.prices.source.informs(symbol):
            return self.funding.last_rate(symbol)
        return self.prices.funding_rate(symbol, self.symbols[symbol], self.funding.interval_hours(symbol))

    def tell_prices(self, symbol: str, ts_ms: int, mark: int, index: int, rate: int, settles_ms: int) -> None:
        """Take a contract's prices and its next settlement as another venue has them."""
        self.prices.tell(self.markets[symbol], self.symbols[symbol], ts_ms, mark, index)
        self.funding.announce(symbol, rate, settles_ms)
        self.conclude(symbol)

    def imbalance(self, asset: str) -> int:
        """What the venue has lost (or made) of an asset: 0, always."""
        cash = self.treasury.holds(asset) - self.treasury.pots["deposited", asset]
        for account in self.accounts.values():
            cash += account.wallets.get(asset, 0)
            cash -= sum(p.cost for p in account.positions.values() if self.symbols[p.symbol].asset == asset)
        cash += self.fund.cash.get(asset, self.fund.endowment) - self.fund.endowment
        return cash - sum(
            p.cost for p in self.fund.positions.values() if self.symbols[p.symbol].asset == asset
        )

    # --- what a feed calls ---------------------------------------------------------------------------------
    def move_clock(self, ts_ms: int) -> None:
        """Market time moves; funding that falls due is exchanged."""
        super().move_clock(ts_ms)
        for due in self.funding.due(ts_ms):
            if due.symbol in self.symbols:
                self.funding.exchange(self, due)
                self.conclude(due.symbol)

    def set_depth(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """Replace the market's depth; the mark price follows."""
        super().set_depth(symbol, bids, asks)
        self.marks_moved(symbol)

    def stand_at(
        self, symbol: str, price: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """A margin market watches its marks at every moment, so standing at the next open is being there."""
        self.set_depth(symbol, bids, asks)

    def stop_prices(self, symbol: str) -> Iterator[tuple[int, bool]]:
        """Trigger prices of stops that watch the last price."""
        for account in self.accounts.values():
            for order in account.open_algos.values():
                watched = order.request.symbol == symbol and order.request.working_type != "MARK_PRICE"
                if watched and order.kind.startswith("STOP"):
                    yield order.trigger, order.request.buy

    def change_depth(
        self, symbol: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        """Set single levels; the mark price follows."""
        super().change_depth(symbol, bids, asks)
        self.marks_moved(symbol)

    def price_moved(self, symbol: str) -> None:
        """The last price has moved."""
        self.marks_moved(symbol)

    def marks_moved(self, symbol: str) -> None:
        """Prices or a wallet have changed: mark price, conditional orders, liquidation, deleveraging.

        What follows from it may move prices again; one round at a time, until nothing happens any more. While
        the book is in doubt (BREAK) it sets nothing off.
        """
        self._remark(symbol)
        if self._busy or self.markets[symbol].status == "BREAK":
            return
        self._busy = True
        try:
            while algo.trigger(self, symbol) or liquidation.check(self, symbol):
                self._remark(symbol)
                self.settled(symbol)
        finally:
            self._busy = False

    def _remark(self, symbol: str) -> None:
        if self.prices.contracts[symbol].told:
            return
        now, book = self.clock.now_ms(), self.markets[symbol].book
        bid, ask = self._best_external(book.bids), self._best_external(book.asks)
        hours = self.funding.interval_hours(symbol)
        due = self.funding.next_time(symbol, now)
        self.prices.update(
            self.markets[symbol],
            self.symbols[symbol],
            now,
            None if bid is None or ask is None else (bid + ask) // 2,
            rate=self.funding_rate(symbol),
            until_ms=due - now if due else hours * HOUR_MS,
            hours=hours,
        )

    # --- orders --------------------------------------------------------------------------------------------
    def place(self, account: UmAccount, request: NewUmOrder, *, counted: bool = True) -> UmOrder:
        """Take an order: check, count (unless its batch was counted), announce, match, rest or expire."""
        request, closing = check_order(self, account, request)
        if counted:
            account.limits.charge(1, self.wall.now_ms() / 1000)
        order = self.enter(account, request, closing=closing)
        self.work(account, order)
        self.conclude(order.symbol)
        return order

    def enter(self, account: UmAccount, request: NewUmOrder, *, closing: bool) -> UmOrder:
        """Give an order its id and announce it."""
        self.last_order_id += 1
        order = UmOrder(self.last_order_id, account.name, request, self.clock.now_us())
        order.closes = closing
        account.orders[order.id] = account.open_orders[order.id] = order
        account.open_client_ids[order.client_id] = order
        account.forget_oldest()
        self.report(account, order, "NEW")
        return order

    def work(self, account: UmAccount, order: UmOrder) -> None:
        """Match an entered order; rest what remains, or expire it by its time in force.

        A market order takes no price beyond the contract's `marketTakeBound` from the mark price.
        """
        book, request = self.markets[order.symbol].book, order.request
        limit = request.price
        mark = self.mark(order.symbol)
        bound = self.symbols[order.symbol].band(mark)[order.buy] if limit is None and mark else limit
        self.match(order.symbol, book, order, bound)
        if order.id not in account.open_orders:
            return
        if order.remaining <= 0:
            self.complete(order.symbol, order)
        elif limit is None:
            self.end(account, order, "EXPIRED", orders.MARKET_REST)
        elif request.tif in ("IOC", "FOK"):
            self.end(account, order, "EXPIRED", orders.IOC_REST)
        else:
            order.show()
            order.book_price = order.price
            book.add(order.id, order, buy=order.buy)

    def conclude(self, symbol: str) -> None:
        """After an account's action: what it sets off, then everybody is told."""
        self.marks_moved(symbol)
        self.settled(symbol)

    def end(self, account: UmAccount, order: UmOrder, status: str, reason: int = 0) -> None:
        """Cancel or expire an open order; `reason` is its `er`."""
        self.withdraw(order)
        order.status, order.expiry = status, reason
        order.update_us = self.clock.now_us()
        self._close(account, order)
        self.report(account, order, "CANCELED" if status == "CANCELED" else "EXPIRED")

    def cancel(self, account: UmAccount, order: UmOrder) -> None:
        """Cancel an open order at the account's request."""
        self.end(account, order, "CANCELED")
        self.settled(order.symbol)

    def withdraw(self, order: UmOrder) -> None:
        """Take an order out of the book, if it stands there."""
        book = self.markets[order.symbol].book
        level = book.side(buy=order.buy).levels.get(order.book_price)
        if level is not None and order.id in level.orders:
            book.remove(order.id, order, buy=order.buy)

    def expire_due(self, now_ms: int) -> None:
        """Expire the orders whose goodTillDate (wall time) is over."""
        for account in self.accounts.values():
            due = [o for o in account.open_orders.values() if 0 < o.request.good_till_ms <= now_ms]
            for order in due:
                self.end(account, order, "EXPIRED")
                self.settled(order.symbol)
            for waiting in list(account.open_algos.values()):
                if 0 < waiting.request.good_till_ms <= now_ms:
                    algo.expire(self, account, waiting)

    def find(
        self,
        account: UmAccount,
        symbol: str,
        order_id: int | None,
        client_id: str | None,
        *,
        opened: bool = False,
    ) -> UmOrder:
        """An order by id or client id; -2011 when an open one is asked for, else -2013."""
        self.symbol(symbol)
        found: UmOrder | None = None
        if order_id is not None:
            found = account.orders.get(order_id)
        elif client_id is not None:
            found = account.open_client_ids.get(client_id)
            if found is None and not opened:
                past = (o for o in reversed(account.orders.values()) if o.client_id == client_id)
                found = next(past, None)
        if found is None or found.symbol != symbol or (opened and found.id not in account.open_orders):
            raise unknown_order() if opened else no_such_order()
        return found

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
        trade = self.record_trade(self.markets[symbol], price, qty, buyer_is_maker=not taker_buys)
        self.book_trade(symbol, trade, taker, maker)

    def book_trade(
        self, symbol: str, trade: MarketTrade, taker: BookOrder | None, maker: BookOrder | None
    ) -> None:
        """Book a trade on both sides; an absent party is the market, the fund's orders are the fund's."""
        asset, taker_buys = self.symbols[symbol].asset, not trade.buyer_is_maker
        for party, is_maker in ((maker, True), (taker, False)):
            if isinstance(party, UmOrder):
                book_fill(self, self.accounts[party.account], party, trade, is_maker=is_maker)
            elif isinstance(party, liquidation.FundOrder):
                party.executed += trade.qty
                self.fund.trade(symbol, asset, party.buy, trade.price, trade.qty)
            else:
                buys = taker_buys != is_maker
                self.treasury.receive("market", asset, -trade.quote if buys else trade.quote)

    def prevent_self_trade(self, symbol: str, taker: BookOrder, maker: BookOrder) -> bool:
        """Self-trade prevention: expire the taker, the maker, or both."""
        assert isinstance(taker, UmOrder)
        assert isinstance(maker, UmOrder)
        account = self.accounts[taker.account]
        if taker.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            self.end(account, maker, "EXPIRED_IN_MATCH", orders.SELF_TRADE)
        if taker.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            reason = orders.IOC_SELF_TRADE if taker.request.tif == "IOC" else orders.SELF_TRADE
            self.end(account, taker, "EXPIRED_IN_MATCH", reason)
            return False
        return True

    def complete(self, symbol: str, order: BookOrder) -> None:
        """An order has nothing left to trade."""
        if isinstance(order, UmOrder):
            self._close(self.accounts[order.account], order)

    def _close(self, account: UmAccount, order: UmOrder) -> None:
        account.open_orders.pop(order.id, None)
        account.open_client_ids.pop(order.client_id, None)

    # --- keeping and telling -------------------------------------------------------------------------------
    def book_income(
        self, account: UmAccount, symbol: str, kind: str, asset: str, amount: int, trade_id: int | None = None
    ) -> None:
        """Move a wallet and write the reason down."""
        self.last_transaction += 1
        account.wallets[asset] = account.wallets.get(asset, 0) + amount
        account.slack.clear()
        account.update_us = self.clock.now_us()
        entry = Income(symbol, kind, amount, asset, account.update_us, self.last_transaction, trade_id)
        account.income.append(entry)
        if self.store is not None:
            self.store.note_income(account, entry)

    def report(
        self, account: UmAccount, order: UmOrder, execution: str, trade: orders.UmTrade | None = None
    ) -> None:
        """Publish ORDER_TRADE_UPDATE and keep the order's new state."""
        self.events.order(account, order, execution, trade)
        if self.store is not None:
            self.store.note_order(order, trade)

    def keep(self, account: UmAccount) -> None:
        """Keep an account's new wallets or settings."""
        account.slack.clear()
        if self.store is not None:
            self.store.note_account(account)
            self.store.commit(self)

    def settled(self, symbol: str) -> None:
        """An event is complete: it is kept, and everybody told."""
        if self.store is not None and self.store.pending:
            self.store.commit(self)
        super().settled(symbol)

    def deleverage(self, symbol: str, buy: bool, price: int, qty: int) -> int:
        """Close opposing positions at a bankruptcy price, the best placed first; returns what was closed."""
        return adl.deleverage(self, symbol, buy=buy, price=price, qty=qty)
