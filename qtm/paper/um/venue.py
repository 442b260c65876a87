"""The USD-M futures market: taking orders, filling them into positions, cancelling, telling users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qtm.clock import Clock
from qtm.market.instruments import Instrument
from qtm.paper.errors import ApiError, invalid_symbol, no_such_order, unknown_order
from qtm.paper.klines import KlineHistory
from qtm.paper.limits import OrderLimits, RateLimit
from qtm.paper.matching import BookOrder
from qtm.paper.um import algo, liquidation, margin
from qtm.paper.um.accounts import Income, Position, UmAccount
from qtm.paper.um.brackets import max_notional
from qtm.paper.um.funding import FundingSchedule
from qtm.paper.um.orders import NewUmOrder, UmOrder, UmTrade, order_update
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.venue import MarketTrade, SymbolMarket, Venue
from qtm.paper.wire import E8, text_of, units_of
from qtm.trading.costs import CostModel

RATE_LIMITS = (
    RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 2400),
    RateLimit("ORDERS", "MINUTE", 1, 1200),
    RateLimit("ORDERS", "SECOND", 10, 300),
)


class UmVenue(Venue):
    """Accounts, orders and positions of the futures market on top of the shared book, tape and clock.

    The mark price is the middle of the market's own best bid and ask (orders of accounts do not move it), or
    the last price while a side is empty; the index price is the same.
    """

    def __init__(
        self, costs: CostModel, *, rate_limits: tuple[RateLimit, ...] = RATE_LIMITS, wall: Clock | None = None
    ) -> None:
        super().__init__(wall)
        self.costs = costs
        self.rate_limits = rate_limits
        self.symbols: dict[str, UmSymbol] = {}
        self.accounts: dict[str, UmAccount] = {}
        self.marks: dict[str, int] = {}
        self.funding = FundingSchedule()
        self.insurance: dict[str, int] = {}
        self.last_order_id = 0
        self.last_algo_id = 0
        self.last_transaction = 0
        self.liquidating = False

    # --- listing and accounts ------------------------------------------------------------------------------
    def add_market(self, instrument: Instrument, klines: KlineHistory) -> SymbolMarket:
        """List a contract."""
        self.symbols[instrument.symbol] = UmSymbol.of(instrument)
        return super().add_market(instrument, klines)

    def open_account(self, name: str) -> UmAccount:
        """Open an account with empty wallets."""
        rates = units_of(self.costs.maker_rate), units_of(self.costs.taker_rate)
        account = UmAccount(name, 20_000_000 + len(self.accounts), *rates, OrderLimits(self.rate_limits))
        self.accounts[name] = account
        return account

    def deposit(self, account: UmAccount, asset: str, units: int) -> None:
        """Transfer an amount in (negative: out); -2018 when it is not available."""
        if units < 0 and margin.asset_margin(self, account, asset).withdrawable < -units:
            raise ApiError(-2018, "Balance is insufficient.")
        self.book_income(account, "", "TRANSFER", asset, units)
        self.publish_account(account, "DEPOSIT" if units >= 0 else "WITHDRAW", asset, change=units)

    def change_filters(self, symbol: str, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace filters of a contract."""
        changed = self.symbols[symbol] = self.symbols[symbol].with_filters(filters)
        return changed.filters()

    def symbol(self, name: str) -> UmSymbol:
        """The contract; raises -1121."""
        found = self.symbols.get(name)
        if found is None:
            raise invalid_symbol()
        return found

    def mark(self, symbol: str) -> int:
        """Mark price."""
        return self.marks.get(symbol) or self.markets[symbol].last_price

    # --- what a feed calls ---------------------------------------------------------------------------------
    def move_clock(self, ts_ms: int) -> None:
        """Market time moves; funding that falls due is exchanged."""
        super().move_clock(ts_ms)
        for event in self.funding.due(ts_ms):
            if event.symbol in self.symbols:
                self.funding.exchange(self, event)
                self.marks_moved(event.symbol)
        for account in self.accounts.values():
            for order in [o for o in account.open_orders.values() if 0 < o.request.good_till_ms <= ts_ms]:
                self.end(account, order, "EXPIRED")

    def set_depth(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """Replace the market's depth; the mark price follows its middle."""
        bids, asks = list(bids), list(asks)
        if bids and asks:
            self.marks[symbol] = (max(p for p, _ in bids) + min(p for p, _ in asks)) // 2
        super().set_depth(symbol, bids, asks)
        self.marks_moved(symbol)

    def change_depth(
        self, symbol: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        """Set single levels; the mark price follows."""
        super().change_depth(symbol, bids, asks)
        book = self.markets[symbol].book
        bid, ask = self._best_external(book.bids), self._best_external(book.asks)
        if bid is not None and ask is not None:
            self.marks[symbol] = (bid + ask) // 2
        self.marks_moved(symbol)

    def price_moved(self, symbol: str) -> None:
        """Conditional orders look at the last and the mark price."""
        algo.trigger(self, symbol)

    def marks_moved(self, symbol: str) -> None:
        """The mark price or a wallet changed: conditional orders, then liquidation."""
        self.price_moved(symbol)
        liquidation.check(self, symbol)

    # --- placing -------------------------------------------------------------------------------------------
    def validate(self, account: UmAccount, request: NewUmOrder) -> tuple[NewUmOrder, bool]:
        """Check an order; returns it as it will be entered, and whether it may only reduce its position.

        Raises
        ------
        ApiError
            The futures code of what is wrong.
        """
        symbol, market = self.symbol(request.symbol), self.markets[request.symbol]
        if market.status != "TRADING":
            raise ApiError(-4108, "This symbol is not in trading status.")
        closing = self._check_side(account, request)
        if request.price_match != "NONE":
            request = replace(request, price=self._matched_price(market, request))
        position = account.position(request.symbol, request.position_side)
        if closing:
            if position.qty == 0 or (position.qty > 0) == request.buy:
                raise ApiError(-2022, "ReduceOnly Order is rejected.")
            if account.hedge and (request.qty or 0) > abs(position.qty):
                raise ApiError(-2022, "ReduceOnly Order is rejected.")
            request = replace(request, qty=min(request.qty or abs(position.qty), abs(position.qty)))
        qty = request.qty or 0
        symbol.check_qty(qty, market=request.type == "MARKET")
        book = market.book
        best = book.opposite(buy=request.buy).best()
        if request.price is not None:
            symbol.check_price(request.price, self.mark(request.symbol), buy=request.buy)
            crosses = best is not None and book.opposite(buy=request.buy).reaches(best[0], request.price)
            if request.tif == "GTX" and crosses:
                raise ApiError(
                    -5022,
                    "Due to the order could not be executed as maker, the Post Only order will be rejected.",
                )
        price = request.price if request.price is not None else (best[0] if best else self.mark(symbol.name))
        if not closing:
            symbol.check_notional(price * qty // E8)
        if request.client_id in account.open_client_ids:
            raise ApiError(-4116, "ClientOrderId is duplicated.")
        if len([o for o in account.open_orders.values() if o.symbol == request.symbol]) >= symbol.max_orders:
            raise ApiError(-2025, "Reach max open order limit.")
        if not closing:
            self._check_margin(account, symbol, request, price * qty // E8)
        return request, closing

    def place(self, account: UmAccount, request: NewUmOrder) -> UmOrder:
        """Take an order: check, count, announce, match, rest or expire."""
        request, closing = self.validate(account, request)
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
        """Match an entered order; rest what remains, or expire it by its time in force."""
        book, request = self.markets[order.symbol].book, order.request
        limit = request.price
        fill_or_kill = limit is not None and request.tif == "FOK"
        if fill_or_kill and self.available(book, order, limit, order.remaining) < order.remaining:
            self.end(account, order, "EXPIRED")
            return
        self.match(order.symbol, book, order, limit)
        if order.id not in account.open_orders:
            return
        if order.remaining <= 0:
            self.complete(order.symbol, order)
        elif limit is None or request.tif in ("IOC", "FOK"):
            self.end(account, order, "EXPIRED")
        else:
            order.show()
            order.book_price = order.price
            book.add(order.id, order, buy=order.buy)

    def _check_side(self, account: UmAccount, request: NewUmOrder) -> bool:
        """Position side and reduce-only against the account's mode; True when the order only reduces."""
        if account.hedge != (request.position_side != "BOTH"):
            raise ApiError(-4061, "Order's position side does not match user's setting.")
        if not account.hedge:
            return request.reduce_only or request.close_position
        if request.reduce_only:
            raise ApiError(-1106, "Parameter 'reduceonly' sent when not required.")
        return request.buy == (request.position_side == "SHORT")

    def _matched_price(self, market: SymbolMarket, request: NewUmOrder) -> int:
        """The price a `priceMatch` stands for: the n-th level of the opponent's or one's own side."""
        kind, _, depth = request.price_match.partition("_")
        book = market.book
        side = book.opposite(buy=request.buy) if kind == "OPPONENT" else book.side(buy=request.buy)
        levels = side.depth(int(depth or 1))
        if not levels:
            raise ApiError(-5038, "Price match only supports order book with depth.")
        return levels[-1][0]

    def _check_margin(self, account: UmAccount, symbol: UmSymbol, request: NewUmOrder, value: int) -> None:
        side, name = request.position_side, symbol.name
        held = account.position(name, side).notional(self.mark(name))
        leverage = account.setting(name).leverage
        bids, asks = margin.order_notionals(account, name, side, (request.buy, value))
        worst = max(abs(held + bids), abs(held - asks)) if side == "BOTH" else abs(held) + bids + asks
        if worst > max_notional(symbol.brackets, leverage) and worst > abs(held):
            raise ApiError(-2027, "Exceeded the maximum allowable position at current leverage.")
        before = margin.orders_initial(self, account, name, side)
        after = margin.orders_initial(self, account, name, side, (request.buy, value))
        if after > before:
            gap = value - self.mark(name) * (request.qty or 0) // E8
            loss = max(0, gap if request.buy else -gap)
            if after - before + loss > margin.asset_margin(self, account, symbol.asset).available:
                raise ApiError(-2019, "Margin is insufficient.")

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
        for party, is_maker in ((maker, True), (taker, False)):
            if isinstance(party, UmOrder):
                self._fill(self.accounts[party.account], party, trade, is_maker=is_maker)

    def _fill(self, account: UmAccount, order: UmOrder, trade: MarketTrade, *, is_maker: bool) -> None:
        symbol = self.symbols[order.symbol]
        position = account.position(order.symbol, order.request.position_side)
        isolated = account.setting(order.symbol).isolated
        leverage = account.setting(order.symbol).leverage
        fee = trade.quote * (account.maker if is_maker else account.taker) // E8
        realised = self.change_position(
            position, order.buy, trade.price, trade.qty, leverage if isolated else 0
        )
        position.fees = position.fees + fee if position.qty else 0
        order.executed += trade.qty
        order.notional += trade.quote
        order.update_us = position.update_us = self.clock.now_us()
        order.status = "FILLED" if order.remaining <= 0 else "PARTIALLY_FILLED"
        if realised:
            self.book_income(account, order.symbol, "REALIZED_PNL", symbol.asset, realised, trade.id)
        if fee:
            self.book_income(account, order.symbol, "COMMISSION", symbol.asset, -fee, trade.id)
        fill = UmTrade(
            trade.id, order.id, order.symbol, trade.price, trade.qty, trade.quote, fee, symbol.asset,
            realised, self.clock.now_us(), order.buy, is_maker, position.side,
        )  # fmt: skip
        account.trades.append(fill)
        self._trim_closing_orders(account, position, order)
        if account.listeners:
            account.publish(self._trade_lite(order, symbol, fill))
            self.publish_account(account, "ORDER", symbol.asset, position)
        execution = "CALCULATED" if order.client_id.startswith("autoclose-") else "TRADE"
        self.report(account, order, execution, fill)

    def change_position(
        self, position: Position, buy: bool, price: int, qty: int, isolated_leverage: int = 0
    ) -> int:
        """Put a fill into a position; returns the profit it realises.

        The cost of what is closed leaves in proportion; what exceeds the position opens the other way round.
        """
        sign = 1 if buy else -1
        realised, quote = 0, price * qty // E8
        closed = min(abs(position.qty), qty) if position.qty * sign < 0 else 0
        if closed:
            received = price * closed // E8
            released = position.cost * closed // abs(position.qty)
            margin_back = position.isolated_wallet * closed // abs(position.qty)
            realised = -sign * received - released
            position.qty += sign * closed
            position.cost -= released
            position.isolated_wallet -= margin_back
            position.realised += realised
            quote -= received
        if qty > closed:
            position.qty += sign * (qty - closed)
            position.cost += sign * quote
            if isolated_leverage:
                position.isolated_wallet += -(-quote // isolated_leverage)
        return realised

    def _trim_closing_orders(self, account: UmAccount, position: Position, filled: UmOrder) -> None:
        """Orders that may only reduce never exceed what is left of their position."""
        for order in list(account.open_orders.values()):
            same = order.symbol == position.symbol and order.request.position_side == position.side
            if not order.closes or not same or order is filled:
                continue
            if not position.qty or (position.qty > 0) == order.buy:
                self.end(account, order, "EXPIRED")
            elif order.remaining > abs(position.qty):
                order.qty = order.executed + abs(position.qty)
                order.display = min(order.display, order.remaining)
                self.markets[order.symbol].book.side(buy=order.buy).touched.add(order.book_price)

    def prevent_self_trade(self, symbol: str, taker: BookOrder, maker: BookOrder) -> bool:
        """Self-trade prevention: expire the taker, the maker, or both."""
        assert isinstance(taker, UmOrder)
        assert isinstance(maker, UmOrder)
        account = self.accounts[taker.account]
        if taker.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            self.end(account, maker, "EXPIRED_IN_MATCH")
        if taker.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            self.end(account, taker, "EXPIRED_IN_MATCH")
            return False
        return True

    def complete(self, symbol: str, order: BookOrder) -> None:
        """An order has nothing left to trade."""
        assert isinstance(order, UmOrder)
        self._close(self.accounts[order.account], order)

    def conclude(self, symbol: str) -> None:
        """After an account's action: triggers and liquidation, then everybody is told."""
        self.marks_moved(symbol)
        self.settled(symbol)

    # --- ending --------------------------------------------------------------------------------------------
    def end(self, account: UmAccount, order: UmOrder, status: str) -> None:
        """Cancel or expire an open order."""
        book = self.markets[order.symbol].book
        level = book.side(buy=order.buy).levels.get(order.book_price)
        if level is not None and order.id in level.orders:
            book.remove(order.id, order, buy=order.buy)
        order.status = status
        order.update_us = self.clock.now_us()
        self._close(account, order)
        self.report(account, order, "CANCELED" if status == "CANCELED" else "EXPIRED")

    def cancel(self, account: UmAccount, order: UmOrder) -> None:
        """Cancel an open order at the account's request."""
        self.end(account, order, "CANCELED")
        self.settled(order.symbol)

    def _close(self, account: UmAccount, order: UmOrder) -> None:
        account.open_orders.pop(order.id, None)
        account.open_client_ids.pop(order.client_id, None)

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

    # --- telling -------------------------------------------------------------------------------------------
    def book_income(
        self, account: UmAccount, symbol: str, kind: str, asset: str, amount: int, trade_id: int | None = None
    ) -> None:
        """Move a wallet and write the reason down."""
        self.last_transaction += 1
        account.wallets[asset] = account.wallets.get(asset, 0) + amount
        account.update_us = self.clock.now_us()
        account.income.append(
            Income(symbol, kind, amount, asset, account.update_us, self.last_transaction, trade_id)
        )

    def report(
        self, account: UmAccount, order: UmOrder, execution: str, trade: UmTrade | None = None
    ) -> None:
        """Publish ORDER_TRADE_UPDATE."""
        if account.listeners:
            account.publish(
                order_update(order, self.symbols[order.symbol], execution, self.clock.now_us(), trade)
            )

    def publish_account(
        self,
        account: UmAccount,
        reason: str,
        asset: str,
        position: Position | None = None,
        *,
        change: int = 0,
    ) -> None:
        """Publish ACCOUNT_UPDATE with one wallet and, when given, one position."""
        if not account.listeners:
            return
        now = self.clock.now_us()
        total = margin.asset_margin(self, account, asset)
        body: dict[str, Any] = {
            "m": reason,
            "B": [
                {
                    "a": asset,
                    "wb": text_of(total.wallet),
                    "cw": text_of(total.cross_wallet),
                    "bc": text_of(change),
                }
            ],
            "P": [] if position is None else [self._position_event(account, position)],
        }
        account.publish({"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": body})

    def _position_event(self, account: UmAccount, position: Position) -> dict[str, str]:
        symbol = self.symbols[position.symbol]
        isolated = account.setting(position.symbol).isolated
        return {
            "s": position.symbol,
            "pa": symbol.qty(position.qty),
            "ep": text_of(position.entry),
            "bep": text_of(position.break_even),
            "cr": text_of(position.realised),
            "up": text_of(position.unrealised(self.mark(position.symbol))),
            "mt": "isolated" if isolated else "cross",
            "iw": text_of(position.isolated_wallet),
            "ps": position.side,
            "ma": symbol.asset,
        }

    def _trade_lite(self, order: UmOrder, symbol: UmSymbol, fill: UmTrade) -> dict[str, Any]:
        now = self.clock.now_us()
        return {
            "e": "TRADE_LITE", "E": now, "T": now, "s": order.symbol, "q": symbol.qty(order.qty),
            "p": symbol.price(order.price), "m": fill.maker, "c": order.client_id,
            "S": "BUY" if order.buy else "SELL", "L": symbol.price(fill.price), "l": symbol.qty(fill.qty),
            "t": fill.id, "i": order.id,
        }  # fmt: skip
