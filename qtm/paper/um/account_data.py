"""Account answers of the futures market: balances, positions, settings, orders, trades, income."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.um.accounts import Position, UmAccount
from qtm.paper.um.brackets import maintenance, max_notional
from qtm.paper.um.margin import (
    asset_margin,
    liquidation_price,
    order_notionals,
    orders_initial,
    position_initial,
)
from qtm.paper.um.symbols import fixed
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import E8, text_of

SUCCESS: dict[str, Any] = {"code": 200, "msg": "success"}


class UmAccountData:
    """Account queries and settings of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    # --- account -------------------------------------------------------------------------------------------
    def account(self, call: Call, *, v2: bool = False) -> dict[str, Any]:
        """GET account (v3, v2)."""
        call.params.finish()
        account = call.account
        assets = [self._asset(account, asset) for asset in self._assets(account)]
        names = {
            "totalInitialMargin": "initialMargin", "totalMaintMargin": "maintMargin",
            "totalWalletBalance": "walletBalance", "totalUnrealizedProfit": "unrealizedProfit",
            "totalMarginBalance": "marginBalance", "totalPositionInitialMargin": "positionInitialMargin",
            "totalOpenOrderInitialMargin": "openOrderInitialMargin",
            "totalCrossWalletBalance": "crossWalletBalance", "totalCrossUnPnl": "crossUnPnl",
            "availableBalance": "availableBalance", "maxWithdrawAmount": "maxWithdrawAmount",
        }  # fmt: skip
        usd = next((row for row in assets if row["asset"] == "USDT"), assets[0] if assets else {})
        body: dict[str, Any] = {name: usd.get(member, "0.00000000") for name, member in names.items()}
        body["assets"] = assets
        body["positions"] = [self._account_position(account, p, v2=v2) for p in self._rows(account, v2=v2)]
        return {**self._flags(account), "feeBurn": False, **body} if v2 else body

    def balance(self, call: Call) -> list[dict[str, Any]]:
        """GET balance."""
        call.params.finish()
        account, rows = call.account, []
        for asset in self._assets(account):
            total = asset_margin(self.venue, account, asset)
            rows.append(
                {
                    "accountAlias": f"acc{account.uid}", "asset": asset, "balance": text_of(total.wallet),
                    "crossWalletBalance": text_of(total.cross_wallet),
                    "crossUnPnl": text_of(total.cross_unrealised),
                    "availableBalance": text_of(total.available),
                    "maxWithdrawAmount": text_of(total.withdrawable), "marginAvailable": True,
                    "updateTime": account.update_us // 1000,
                }
            )  # fmt: skip
        return rows

    def positions(self, call: Call, *, v2: bool = False) -> list[dict[str, Any]]:
        """GET positionRisk (v3: only what is held or has open orders; v2: every symbol)."""
        account, wanted = call.account, call.params.text("symbol")
        call.params.finish()
        if wanted is not None:
            self.venue.symbol(wanted)
        rows = [p for p in self._rows(account, v2=v2) if wanted in (None, p.symbol)]
        return [self._risk(account, position, v2=v2) for position in rows]

    def config(self, call: Call) -> dict[str, Any]:
        """GET accountConfig."""
        call.params.finish()
        return {**self._flags(call.account), "dualSidePosition": call.account.hedge}

    def symbol_config(self, call: Call) -> list[dict[str, Any]]:
        """GET symbolConfig."""
        rows = []
        for name in self._names(call):
            setting = call.account.setting(name)
            most = max_notional(self.venue.symbols[name].brackets, setting.leverage)
            rows.append(
                {
                    "symbol": name, "marginType": "ISOLATED" if setting.isolated else "CROSSED",
                    "isAutoAddMargin": False, "leverage": setting.leverage,
                    "maxNotionalValue": str(most // E8),
                }
            )  # fmt: skip
        return rows

    def brackets(self, call: Call) -> Any:
        """GET leverageBracket."""
        return [
            {
                "symbol": name,
                "brackets": [
                    {
                        "bracket": b.number, "initialLeverage": b.leverage, "notionalCap": b.cap // E8,
                        "notionalFloor": b.floor // E8, "maintMarginRatio": b.rate / E8, "cum": b.cum / E8,
                    }
                    for b in self.venue.symbols[name].brackets
                ],
            }
            for name in self._names(call)
        ]  # fmt: skip

    def commission(self, call: Call) -> dict[str, Any]:
        """GET commissionRate."""
        symbol = self.venue.symbol(call.params.required("symbol"))
        call.params.finish()
        maker, taker = fixed(call.account.maker, 6), fixed(call.account.taker, 6)
        return {
            "symbol": symbol.name, "makerCommissionRate": maker, "takerCommissionRate": taker,
            "rpiCommissionRate": maker,
        }  # fmt: skip

    def income(self, call: Call) -> list[dict[str, Any]]:
        """GET income."""
        params = call.params
        symbol, kind = params.text("symbol"), params.text("incomeType")
        start, end = params.integer("startTime"), params.integer("endTime")
        params.integer("page")
        limit = params.limit(100, 1000)
        params.finish()
        rows = [
            i
            for i in call.account.income
            if symbol in (None, i.symbol) and kind in (None, i.kind)
            and (start is None or i.time_us >= start * 1000) and (end is None or i.time_us <= end * 1000)
        ]  # fmt: skip
        chosen = rows[:limit] if start is not None else rows[-limit:]
        return [
            {
                "symbol": i.symbol, "incomeType": i.kind, "income": text_of(i.amount), "asset": i.asset,
                "time": i.time_us // 1000, "info": i.kind, "tranId": i.transaction,
                "tradeId": str(i.trade_id or ""),
            }
            for i in chosen
        ]  # fmt: skip

    # --- settings ------------------------------------------------------------------------------------------
    def set_leverage(self, call: Call) -> dict[str, Any]:
        """POST leverage; -4028 outside the brackets, -2027/-4161 when positions forbid it."""
        params, account = call.params, call.account
        symbol = self.venue.symbol(params.required("symbol"))
        params.required("leverage")
        leverage = params.integer("leverage") or 0
        params.finish()
        if not 1 <= leverage <= symbol.brackets[0].leverage:
            raise ApiError(-4028, f"Leverage {leverage} is not valid")
        setting = account.setting(symbol.name)
        held = account.held(symbol.name)
        most = max_notional(symbol.brackets, leverage)
        if any(abs(p.notional(self.venue.mark(symbol.name))) > most for p in held):
            raise ApiError(-2027, "Exceeded the maximum allowable position at current leverage.")
        if setting.isolated and held and leverage < setting.leverage:
            raise ApiError(
                -4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions."
            )
        previous, setting.leverage = setting.leverage, leverage
        total = asset_margin(self.venue, account, symbol.asset)
        if leverage < previous and total.initial > total.balance:
            setting.leverage = previous
            raise ApiError(-2019, "Margin is insufficient.")
        now = self.venue.clock.now_us()
        account.publish(
            {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, "ac": {"s": symbol.name, "l": leverage}}
        )
        return {"symbol": symbol.name, "leverage": leverage, "maxNotionalValue": str(most // E8)}

    def set_margin_type(self, call: Call) -> dict[str, Any]:
        """POST marginType; -4046, -4047, -4048."""
        params, account = call.params, call.account
        symbol = self.venue.symbol(params.required("symbol"))
        kind = params.required("marginType")
        params.finish()
        if kind not in ("ISOLATED", "CROSSED"):
            raise ApiError(-1130, "Data sent for parameter 'marginType' is not valid.")
        setting = account.setting(symbol.name)
        if setting.isolated == (kind == "ISOLATED"):
            raise ApiError(-4046, "No need to change margin type.")
        if any(o.symbol == symbol.name for o in account.open_orders.values()):
            raise ApiError(-4047, "Margin type cannot be changed if there exists open orders.")
        if account.held(symbol.name):
            raise ApiError(-4048, "Margin type cannot be changed if there exists position.")
        setting.isolated = kind == "ISOLATED"
        return SUCCESS

    def position_mode(self, call: Call) -> dict[str, Any]:
        """GET positionSide/dual."""
        call.params.finish()
        return {"dualSidePosition": call.account.hedge}

    def set_position_mode(self, call: Call) -> dict[str, Any]:
        """POST positionSide/dual; -4059, -4067, -4068."""
        account = call.account
        call.params.required("dualSidePosition")
        hedge = call.params.flag("dualSidePosition")
        call.params.finish()
        if account.hedge == hedge:
            raise ApiError(-4059, "No need to change position side.")
        if account.open_orders or account.open_algos:
            raise ApiError(-4067, "Position side cannot be changed if there exists open orders.")
        if any(p.qty for p in account.positions.values()):
            raise ApiError(-4068, "Position side cannot be changed if there exists position.")
        account.hedge = hedge
        return SUCCESS

    def change_margin(self, call: Call) -> dict[str, Any]:
        """POST positionMargin: add to (1) or take from (2) an isolated position's wallet."""
        params, account = call.params, call.account
        symbol = self.venue.symbol(params.required("symbol"))
        side = params.text("positionSide") or "BOTH"
        params.required("amount")
        amount, kind = params.amount("amount") or 0, params.integer("type")
        params.finish()
        position = account.position(symbol.name, side)
        if not account.setting(symbol.name).isolated:
            raise ApiError(-4054, "Cannot add position margin: position is 0.")
        if not position.qty:
            raise ApiError(-4054, "Cannot add position margin: position is 0.")
        if kind not in (1, 2) or amount <= 0:
            raise ApiError(-4055, "Amount must be positive.")
        mark = self.venue.mark(symbol.name)
        free = asset_margin(self.venue, account, symbol.asset).available
        if kind == 2:
            value = position.notional(mark)
            free = (
                position.isolated_wallet
                + min(0, position.unrealised(mark))
                - position_initial(self.venue, account, symbol.name, value)
            )
        if amount > free:
            raise ApiError(-4051 if kind == 1 else -2019, "Margin is insufficient.")
        position.isolated_wallet += amount if kind == 1 else -amount
        self.venue.publish_account(account, "MARGIN_TRANSFER", symbol.asset, position)
        return {
            "code": 200,
            "msg": "Successfully modify position margin.",
            "amount": amount / E8,
            "type": kind,
        }

    # --- orders and trades ---------------------------------------------------------------------------------
    def order(self, call: Call) -> dict[str, Any]:
        """GET order, openOrder."""
        params = call.params
        symbol = params.required("symbol")
        order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
        params.finish()
        if order_id is None and client_id is None:
            raise ApiError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        found = self.venue.find(call.account, symbol, order_id, client_id)
        return found.view(self.venue.symbols[symbol], with_time=True)

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        """GET openOrders."""
        wanted = self._names(call)
        return [
            order.view(self.venue.symbols[order.symbol], with_time=True)
            for order in call.account.open_orders.values()
            if order.symbol in wanted
        ]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        """GET allOrders."""
        rows, limit, oldest = self._history(call, "orderId", lambda a: a.orders.values(), lambda o: o.id)
        chosen = rows[:limit] if oldest else rows[-limit:]
        return [order.view(self.venue.symbols[order.symbol], with_time=True) for order in chosen]

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """GET userTrades."""
        order_id = call.params.integer("orderId")
        rows, limit, oldest = self._history(call, "fromId", lambda a: a.trades, lambda t: t.id)
        rows = [trade for trade in rows if order_id in (None, trade.order_id)]
        chosen = rows[:limit] if oldest else rows[-limit:]
        return [trade.view(self.venue.symbols[trade.symbol]) for trade in chosen]

    def order_counts(self, call: Call) -> list[dict[str, Any]]:
        """GET rateLimit/order."""
        call.params.finish()
        return [limit.public() for limit in self.venue.rate_limits if limit.kind == "ORDERS"]

    def _history(self, call: Call, id_name: str, rows: Any, key: Any) -> tuple[list[Any], int, bool]:
        params = call.params
        symbol = self.venue.symbol(params.required("symbol")).name
        since = params.integer(id_name)
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(500, 1000)
        params.finish()
        chosen = [
            row
            for row in rows(call.account)
            if row.symbol == symbol and (since is None or key(row) >= since)
            and (start is None or row.time_us >= start * 1000) and (end is None or row.time_us <= end * 1000)
        ]  # fmt: skip
        return chosen, limit, since is not None or start is not None

    # --- shapes --------------------------------------------------------------------------------------------
    def _names(self, call: Call) -> list[str]:
        wanted = call.params.text("symbol")
        call.params.finish()
        return list(self.venue.symbols) if wanted is None else [self.venue.symbol(wanted).name]

    def _assets(self, account: UmAccount) -> list[str]:
        return sorted(set(account.wallets) | {s.asset for s in self.venue.symbols.values()})

    def _flags(self, account: UmAccount) -> dict[str, Any]:
        return {
            "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
            "multiAssetsMargin": False, "tradeGroupId": -1, "updateTime": account.update_us // 1000,
        }  # fmt: skip

    def _asset(self, account: UmAccount, asset: str) -> dict[str, Any]:
        total = asset_margin(self.venue, account, asset)
        return {
            "asset": asset,
            "walletBalance": text_of(total.wallet),
            "unrealizedProfit": text_of(total.unrealised),
            "marginBalance": text_of(total.balance),
            "maintMargin": text_of(total.maintenance),
            "initialMargin": text_of(total.initial),
            "positionInitialMargin": text_of(total.position_initial),
            "openOrderInitialMargin": text_of(total.order_initial),
            "crossWalletBalance": text_of(total.cross_wallet),
            "crossUnPnl": text_of(total.cross_unrealised),
            "availableBalance": text_of(total.available),
            "maxWithdrawAmount": text_of(total.withdrawable),
            "updateTime": account.update_us // 1000,
        }

    def _rows(self, account: UmAccount, *, v2: bool) -> list[Position]:
        sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
        busy = {(o.symbol, o.request.position_side) for o in account.open_orders.values()}
        return [
            account.positions.get((name, side)) or Position(name, side)
            for name in self.venue.symbols
            for side in sides
            if v2 or (name, side) in busy
            or ((held := account.positions.get((name, side))) is not None and held.qty)
        ]  # fmt: skip

    def _numbers(self, account: UmAccount, position: Position) -> dict[str, str]:
        venue, name = self.venue, position.symbol
        value = position.notional(venue.mark(name))
        held = position_initial(venue, account, name, value)
        opening = orders_initial(venue, account, name, position.side)
        bids, asks = order_notionals(account, name, position.side)
        return {
            "notional": text_of(value), "isolatedWallet": text_of(position.isolated_wallet),
            "initialMargin": text_of(held + opening),
            "maintMargin": text_of(maintenance(venue.symbols[name].brackets, value)),
            "positionInitialMargin": text_of(held), "openOrderInitialMargin": text_of(opening),
            "bidNotional": text_of(bids), "askNotional": text_of(asks),
        }  # fmt: skip

    def _account_position(self, account: UmAccount, position: Position, *, v2: bool) -> dict[str, Any]:
        symbol = self.venue.symbols[position.symbol]
        numbers = self._numbers(account, position)
        profit = position.unrealised(self.venue.mark(position.symbol))
        head = {"symbol": symbol.name, "positionSide": position.side, "positionAmt": symbol.qty(position.qty)}
        tail = {"unrealizedProfit": text_of(profit), "updateTime": position.update_us // 1000}
        if v2:
            setting = account.setting(symbol.name)
            del numbers["isolatedWallet"], numbers["notional"]
            return {
                **head, **numbers, **tail, "leverage": str(setting.leverage), "isolated": setting.isolated,
                "entryPrice": text_of(position.entry),
                "maxNotional": str(max_notional(symbol.brackets, setting.leverage) // E8),
            }  # fmt: skip
        margin = position.isolated_wallet + profit if position.isolated_wallet else 0
        chosen = {k: numbers[k] for k in ("notional", "isolatedWallet", "initialMargin", "maintMargin")}
        return {**head, **tail, "isolatedMargin": text_of(margin), **chosen}

    def _risk(self, account: UmAccount, position: Position, *, v2: bool) -> dict[str, Any]:
        venue, symbol = self.venue, self.venue.symbols[position.symbol]
        mark, setting = venue.mark(position.symbol), account.setting(position.symbol)
        profit = position.unrealised(mark)
        margin = position.isolated_wallet + profit if position.isolated_wallet else 0
        numbers = self._numbers(account, position)
        body: dict[str, Any] = {
            "symbol": symbol.name,
            "positionSide": position.side,
            "positionAmt": symbol.qty(position.qty),
            "entryPrice": text_of(position.entry),
            "breakEvenPrice": text_of(position.break_even),
            "markPrice": text_of(mark),
            "unRealizedProfit": text_of(profit),
            "liquidationPrice": text_of(liquidation_price(venue, account, position)),
            "isolatedMargin": text_of(margin),
            "updateTime": position.update_us // 1000,
        }
        if v2:
            return {
                **body, "notional": numbers["notional"], "isolatedWallet": numbers["isolatedWallet"],
                "leverage": str(setting.leverage), "marginType": "isolated" if setting.isolated else "cross",
                "isAutoAddMargin": "false",
                "maxNotionalValue": str(max_notional(symbol.brackets, setting.leverage) // E8),
            }  # fmt: skip
        return {**body, **numbers, "marginAsset": symbol.asset, "adl": 0}
