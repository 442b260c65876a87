"""What a futures account sets: leverage, margin type, modes, isolated margin, fees in BNB."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.um.accounts import MarginChange, UmAccount
from qtm.paper.um.brackets import max_notional
from qtm.paper.um.margin import asset_margin, position_initial
from qtm.paper.um.positions import Position
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import E8

SUCCESS: dict[str, Any] = {"code": 200, "msg": "success"}


class UmAccountSettings:
    """Changes of settings of one venue's accounts."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    def leverage(self, call: Call) -> dict[str, Any]:
        """POST leverage; -4028 outside the brackets, -2027, -2028 and -4161 when positions forbid it."""
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
            raise ApiError(-2028, "Leverage is smaller than permitted: insufficient margin balance.")
        self.venue.events.leverage(account, symbol.name, leverage)
        self.venue.keep(account)
        return {"symbol": symbol.name, "leverage": leverage, "maxNotionalValue": str(most // E8)}

    def margin_type(self, call: Call) -> dict[str, Any]:
        """POST marginType; -4046, -4047, -4048, -4168."""
        params, account = call.params, call.account
        symbol = self.venue.symbol(params.required("symbol"))
        kind = params.required("marginType")
        params.finish()
        if kind not in ("ISOLATED", "CROSSED"):
            raise ApiError(-1130, "Data sent for parameter 'marginType' is not valid.")
        setting = account.setting(symbol.name)
        if setting.isolated == (kind == "ISOLATED"):
            raise ApiError(-4046, "No need to change margin type.")
        if account.multi_assets:
            raise ApiError(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")
        waiting = [*account.open_orders.values(), *(o.request for o in account.open_algos.values())]
        if any(order.symbol == symbol.name for order in waiting):
            raise ApiError(-4047, "Margin type cannot be changed if there exists open orders.")
        if account.held(symbol.name):
            raise ApiError(-4048, "Margin type cannot be changed if there exists position.")
        setting.isolated = kind == "ISOLATED"
        self.venue.keep(account)
        return SUCCESS

    def position_mode(self, call: Call) -> dict[str, Any]:
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
        self.venue.keep(account)
        return SUCCESS

    def asset_mode(self, call: Call) -> dict[str, Any]:
        """POST multiAssetsMargin; -4167, -4169, -4170, -4171, -4172."""
        account = call.account
        call.params.required("multiAssetsMargin")
        wanted = call.params.flag("multiAssetsMargin")
        call.params.finish()
        if account.multi_assets == wanted:
            raise ApiError(
                -4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly."
            )
        if account.open_orders:
            raise ApiError(-4170, "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures.")
        if wanted and any(setting.isolated for setting in account.settings.values()):
            raise ApiError(
                -4167,
                "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin "
                "mode.",
            )
        if not wanted and any(amount < 0 for amount in account.wallets.values()):
            raise ApiError(
                -4172,
                "Unable to adjust Multi-Assets Mode with a negative wallet balance of margin available asset "
                "in USDⓈ-M Futures account.",
            )
        account.multi_assets = wanted
        if not wanted and not self._stands_alone(account):
            account.multi_assets = True
            raise ApiError(
                -4169,
                "Unable to adjust Multi-Assets Mode with insufficient margin balance in USDⓈ-M Futures.",
            )
        self.venue.events.multi_assets(account)
        self.venue.keep(account)
        return SUCCESS

    def fee_burn(self, call: Call) -> dict[str, Any]:
        """POST feeBurn: pay commissions in BNB, as long as there is any."""
        call.params.required("feeBurn")
        wanted = call.params.flag("feeBurn")
        call.params.finish()
        call.account.fee_burn = wanted
        self.venue.keep(call.account)
        return SUCCESS

    def position_margin(self, call: Call) -> dict[str, Any]:
        """POST positionMargin: add to (1) or take from (2) an isolated position's wallet."""
        params, account = call.params, call.account
        symbol = self.venue.symbol(params.required("symbol"))
        side = params.text("positionSide") or "BOTH"
        params.required("amount")
        amount = params.amount("amount") or 0
        params.required("type")
        kind = params.integer("type") or 0
        params.finish()
        if side not in ("BOTH", "LONG", "SHORT"):
            raise ApiError(-4060, "Invalid position side.")
        if account.hedge != (side != "BOTH"):
            raise ApiError(-4061, "Order's position side does not match user's setting.")
        if kind not in (1, 2):
            raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
        if amount <= 0:
            raise ApiError(-4055, "Amount must be positive.")
        if not account.setting(symbol.name).isolated:
            raise ApiError(-4049, "Add margin only support for isolated position.")
        position = account.position(symbol.name, side)
        if not position.qty:
            raise ApiError(-4054, "Cannot add position margin: position is 0.")
        if kind == 1 and amount > asset_margin(self.venue, account, symbol.asset).available:
            raise ApiError(-4050, "Cross balance insufficient.")
        if kind == 2 and amount > self._removable(account, position):
            raise ApiError(-4051, "Isolated balance insufficient.")
        position.isolated_wallet += amount if kind == 1 else -amount
        account.margin_changes.append(
            MarginChange(symbol.name, side, kind, amount, symbol.asset, self.venue.clock.now_us())
        )
        self.venue.events.account(account, "MARGIN_TRANSFER", {symbol.asset: 0}, [position])
        self.venue.keep(account)
        return {
            "amount": amount / E8, "code": 200, "msg": "Successfully modify position margin.", "type": kind,
        }  # fmt: skip

    def _removable(self, account: UmAccount, position: Position) -> int:
        mark = self.venue.mark(position.symbol)
        initial = position_initial(self.venue, account, position.symbol, position.notional(mark))
        return position.isolated_wallet + min(0, position.unrealised(mark)) - initial

    def _stands_alone(self, account: UmAccount) -> bool:
        """Whether every asset's own wallet carries its positions."""
        assets = {symbol.asset for symbol in self.venue.symbols.values()}
        totals = [asset_margin(self.venue, account, asset) for asset in assets]
        return all(total.initial <= total.balance for total in totals if total.positions)
