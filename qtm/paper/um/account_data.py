"""Account answers of the futures market: wallets, positions, configuration."""

from __future__ import annotations

from typing import Any

from qtm.paper.gateway import Call
from qtm.paper.um import adl
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.asset_index import asset_index
from qtm.paper.um.brackets import bracket_view, maintenance, max_notional
from qtm.paper.um.margin import (
    AssetMargin,
    asset_margin,
    liquidation_price,
    order_notionals,
    orders_initial,
    own_margin,
    position_initial,
)
from qtm.paper.um.positions import Position
from qtm.paper.um.symbols import fixed
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import E8, text_of


class UmAccountData:
    """Account queries of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    # --- wallets and positions -----------------------------------------------------------------------------
    def account(self, call: Call, *, v2: bool = False) -> dict[str, Any]:
        """GET account (v3, v2)."""
        call.params.finish()
        account = call.account
        total = asset_margin(self.venue, account, self._main_asset())
        body: dict[str, Any] = {
            "totalInitialMargin": text_of(total.initial), "totalMaintMargin": text_of(total.maintenance),
            "totalWalletBalance": text_of(total.wallet), "totalUnrealizedProfit": text_of(total.unrealised),
            "totalMarginBalance": text_of(total.balance),
            "totalPositionInitialMargin": text_of(total.position_initial),
            "totalOpenOrderInitialMargin": text_of(total.order_initial),
            "totalCrossWalletBalance": text_of(total.cross_wallet),
            "totalCrossUnPnl": text_of(total.cross_unrealised),
            "availableBalance": text_of(total.available), "maxWithdrawAmount": text_of(total.withdrawable),
            "assets": [self._asset(account, asset, v2=v2) for asset in self._assets(account)],
        }  # fmt: skip
        rows = self._rows(account, every=v2)
        if not v2:
            return {**body, "positions": [self._position_v3(account, p) for p in rows]}
        return {
            "feeTier": 0, "feeBurn": account.fee_burn, "canTrade": True, "canDeposit": True,
            "canWithdraw": True, "updateTime": account.update_us // 1000,
            "multiAssetsMargin": account.multi_assets, "tradeGroupId": -1, **body,
            "positions": [self._position_v2(account, p) for p in rows],
        }  # fmt: skip

    def balance(self, call: Call) -> list[dict[str, Any]]:
        """GET balance."""
        call.params.finish()
        account, rows = call.account, []
        for asset in self._assets(account):
            own = own_margin(self.venue, account, asset)
            available, withdrawable = self._free(account, asset, own)
            rows.append(
                {
                    "accountAlias": f"acc{account.uid}", "asset": asset, "balance": text_of(own.wallet),
                    "crossWalletBalance": text_of(own.cross_wallet),
                    "crossUnPnl": text_of(own.cross_unrealised), "availableBalance": text_of(available),
                    "maxWithdrawAmount": text_of(withdrawable),
                    "marginAvailable": bool(asset_index(self.venue, asset)),
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
        rows = [p for p in self._rows(account, every=v2) if wanted in (None, p.symbol)]
        return [(self._risk_v2 if v2 else self._risk_v3)(account, position) for position in rows]

    def adl_quantile(self, call: Call) -> list[dict[str, Any]]:
        """GET adlQuantile: how soon the account's positions would be deleveraged, 0 (last) to 4."""
        account, wanted = call.account, call.params.text("symbol")
        call.params.finish()
        if wanted is not None:
            self.venue.symbol(wanted)
        rows = []
        for name in self.venue.symbols if wanted is None else (wanted,):
            if not account.held(name) and wanted is None:
                continue
            sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
            found = {side: adl.quantile(self.venue, account, account.position(name, side)) for side in sides}
            if account.hedge:
                shown = found if account.setting(name).isolated else {**found, "HEDGE": 0}
            else:
                shown = {"LONG": 0, "SHORT": 0, **found}
            rows.append({"symbol": name, "adlQuantile": shown})
        return rows

    # --- configuration -------------------------------------------------------------------------------------
    def config(self, call: Call) -> dict[str, Any]:
        """GET accountConfig."""
        call.params.finish()
        account = call.account
        return {
            "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
            "dualSidePosition": account.hedge, "updateTime": account.update_us // 1000,
            "multiAssetsMargin": account.multi_assets, "tradeGroupId": -1,
        }  # fmt: skip

    def symbol_config(self, call: Call) -> list[dict[str, Any]]:
        """GET symbolConfig."""
        rows = []
        for name in self._names(call):
            setting = call.account.setting(name)
            rows.append(
                {
                    "symbol": name, "marginType": "ISOLATED" if setting.isolated else "CROSSED",
                    "isAutoAddMargin": False, "leverage": setting.leverage,
                    "maxNotionalValue": self._most(name, setting.leverage),
                }
            )  # fmt: skip
        return rows

    def brackets(self, call: Call) -> list[dict[str, Any]]:
        """GET leverageBracket."""
        return [
            {"symbol": name, "brackets": [bracket_view(b) for b in self.venue.symbols[name].brackets]}
            for name in self._names(call)
        ]

    def commission(self, call: Call) -> dict[str, Any]:
        """GET commissionRate."""
        symbol = self.venue.symbol(call.params.required("symbol"))
        call.params.finish()
        maker, taker = fixed(call.account.maker, 6), fixed(call.account.taker, 6)
        return {
            "symbol": symbol.name, "makerCommissionRate": maker, "takerCommissionRate": taker,
            "rpiCommissionRate": maker,
        }  # fmt: skip

    def position_mode(self, call: Call) -> dict[str, Any]:
        """GET positionSide/dual."""
        call.params.finish()
        return {"dualSidePosition": call.account.hedge}

    def asset_mode(self, call: Call) -> dict[str, Any]:
        """GET multiAssetsMargin."""
        call.params.finish()
        return {"multiAssetsMargin": call.account.multi_assets}

    def fee_burn(self, call: Call) -> dict[str, Any]:
        """GET feeBurn."""
        call.params.finish()
        return {"feeBurn": call.account.fee_burn}

    def trading_status(self, call: Call) -> dict[str, Any]:
        """GET apiTradingStatus: no quantitative rule is in force here."""
        call.params.text("symbol")
        call.params.finish()
        return {"indicators": {}, "updateTime": self.venue.clock.now_ms()}

    def order_counts(self, call: Call) -> list[dict[str, Any]]:
        """GET rateLimit/order."""
        call.params.finish()
        return [limit.public() for limit in self.venue.rate_limits if limit.kind == "ORDERS"]

    # --- shapes --------------------------------------------------------------------------------------------
    def _names(self, call: Call) -> list[str]:
        wanted = call.params.text("symbol")
        call.params.finish()
        return list(self.venue.symbols) if wanted is None else [self.venue.symbol(wanted).name]

    def _main_asset(self) -> str:
        """The asset whose margin the totals state in single-asset mode."""
        assets = {symbol.asset for symbol in self.venue.symbols.values()}
        return "USDT" if "USDT" in assets or not assets else min(assets)

    def _assets(self, account: UmAccount) -> list[str]:
        return sorted(set(account.wallets) | {s.asset for s in self.venue.symbols.values()})

    def _most(self, name: str, leverage: int) -> str:
        return str(max_notional(self.venue.symbols[name].brackets, leverage) // E8)

    def _free(self, account: UmAccount, asset: str, own: AssetMargin) -> tuple[int, int]:
        """What of an asset new orders may use, and what may leave the account."""
        if not account.multi_assets:
            return own.available, own.withdrawable
        pool, index = asset_margin(self.venue, account, asset), asset_index(self.venue, asset)
        available = pool.available * E8 // index if index else 0
        return available, max(0, min(available, own.cross_wallet))

    def _asset(self, account: UmAccount, asset: str, *, v2: bool) -> dict[str, Any]:
        own = own_margin(self.venue, account, asset)
        available, withdrawable = self._free(account, asset, own)
        body: dict[str, Any] = {
            "asset": asset, "walletBalance": text_of(own.wallet), "unrealizedProfit": text_of(own.unrealised),
            "marginBalance": text_of(own.balance), "maintMargin": text_of(own.maintenance),
            "initialMargin": text_of(own.initial), "positionInitialMargin": text_of(own.position_initial),
            "openOrderInitialMargin": text_of(own.order_initial),
            "crossWalletBalance": text_of(own.cross_wallet), "crossUnPnl": text_of(own.cross_unrealised),
            "availableBalance": text_of(available), "maxWithdrawAmount": text_of(withdrawable),
        }  # fmt: skip
        if v2:
            body["marginAvailable"] = bool(asset_index(self.venue, asset))
        return {**body, "updateTime": account.update_us // 1000}

    def _rows(self, account: UmAccount, *, every: bool) -> list[Position]:
        sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
        busy = {(o.symbol, o.request.position_side) for o in account.open_orders.values()}
        busy |= {key for key, position in account.positions.items() if position.qty}
        return [
            account.positions.get((name, side)) or Position(name, side)
            for name in self.venue.symbols
            for side in sides
            if every or (name, side) in busy
        ]

    def _numbers(self, account: UmAccount, position: Position) -> dict[str, str]:
        venue, name = self.venue, position.symbol
        value, profit = position.notional(venue.mark(name)), position.unrealised(venue.mark(name))
        held = position_initial(venue, account, name, value)
        opening = orders_initial(venue, account, name, position.side)
        bids, asks = order_notionals(account, name, position.side)
        return {
            "profit": text_of(profit), "notional": text_of(value),
            "isolatedMargin": text_of(position.isolated_wallet + profit if position.isolated_wallet else 0),
            "isolatedWallet": text_of(position.isolated_wallet), "initialMargin": text_of(held + opening),
            "maintMargin": text_of(maintenance(venue.symbols[name].brackets, value)),
            "positionInitialMargin": text_of(held), "openOrderInitialMargin": text_of(opening),
            "bidNotional": text_of(bids), "askNotional": text_of(asks),
        }  # fmt: skip

    def _position_v3(self, account: UmAccount, position: Position) -> dict[str, Any]:
        numbers = self._numbers(account, position)
        shown = ("isolatedMargin", "notional", "isolatedWallet", "initialMargin", "maintMargin")
        return {
            "symbol": position.symbol, "positionSide": position.side,
            "positionAmt": self.venue.symbols[position.symbol].qty(position.qty),
            "unrealizedProfit": numbers["profit"], **{name: numbers[name] for name in shown},
            "updateTime": position.update_us // 1000,
        }  # fmt: skip

    def _position_v2(self, account: UmAccount, position: Position) -> dict[str, Any]:
        numbers, setting = self._numbers(account, position), account.setting(position.symbol)
        return {
            "symbol": position.symbol, "initialMargin": numbers["initialMargin"],
            "maintMargin": numbers["maintMargin"], "unrealizedProfit": numbers["profit"],
            "positionInitialMargin": numbers["positionInitialMargin"],
            "openOrderInitialMargin": numbers["openOrderInitialMargin"], "leverage": str(setting.leverage),
            "isolated": setting.isolated, "entryPrice": text_of(position.entry),
            "breakEvenPrice": text_of(position.break_even),
            "maxNotional": self._most(position.symbol, setting.leverage),
            "positionSide": position.side,
            "positionAmt": self.venue.symbols[position.symbol].qty(position.qty),
            "notional": numbers["notional"], "isolatedWallet": numbers["isolatedWallet"],
            "bidNotional": numbers["bidNotional"], "askNotional": numbers["askNotional"],
            "updateTime": position.update_us // 1000,
        }  # fmt: skip

    def _risk_v3(self, account: UmAccount, position: Position) -> dict[str, Any]:
        venue, symbol = self.venue, self.venue.symbols[position.symbol]
        numbers = self._numbers(account, position)
        shown = ("initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin")
        return {
            "symbol": symbol.name, "positionSide": position.side, "positionAmt": symbol.qty(position.qty),
            "entryPrice": text_of(position.entry), "breakEvenPrice": text_of(position.break_even),
            "markPrice": text_of(venue.mark(symbol.name)), "unRealizedProfit": numbers["profit"],
            "liquidationPrice": text_of(liquidation_price(venue, account, position)),
            "isolatedMargin": numbers["isolatedMargin"], "notional": numbers["notional"],
            "marginAsset": symbol.asset, "isolatedWallet": numbers["isolatedWallet"],
            **{name: numbers[name] for name in shown},
            "adl": adl.quantile(venue, account, position), "bidNotional": numbers["bidNotional"],
            "askNotional": numbers["askNotional"], "updateTime": position.update_us // 1000,
        }  # fmt: skip

    def _risk_v2(self, account: UmAccount, position: Position) -> dict[str, Any]:
        venue, symbol = self.venue, self.venue.symbols[position.symbol]
        numbers, setting = self._numbers(account, position), account.setting(position.symbol)
        return {
            "symbol": symbol.name, "positionAmt": symbol.qty(position.qty),
            "entryPrice": text_of(position.entry), "breakEvenPrice": text_of(position.break_even),
            "markPrice": text_of(venue.mark(symbol.name)), "unRealizedProfit": numbers["profit"],
            "liquidationPrice": text_of(liquidation_price(venue, account, position)),
            "leverage": str(setting.leverage),
            "maxNotionalValue": self._most(position.symbol, setting.leverage),
            "marginType": "isolated" if setting.isolated else "cross",
            "isolatedMargin": numbers["isolatedMargin"], "isAutoAddMargin": "false",
            "positionSide": position.side, "notional": numbers["notional"],
            "isolatedWallet": numbers["isolatedWallet"], "updateTime": position.update_us // 1000,
            "isolated": setting.isolated, "adlQuantile": adl.quantile(venue, account, position),
        }  # fmt: skip
