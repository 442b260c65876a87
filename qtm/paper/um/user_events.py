"""What a futures account's user stream is told; times are microseconds until they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtm.paper.um import margin
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.brackets import maintenance
from qtm.paper.um.orders import AlgoOrder, UmOrder, UmTrade
from qtm.paper.um.positions import Position
from qtm.paper.um.symbols import fixed
from qtm.paper.wire import text_of

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue


class UserEvents:
    """Publishes the events of one venue's accounts; nothing is made for an account without a listener."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    def order(self, account: UmAccount, order: UmOrder, execution: str, trade: UmTrade | None = None) -> None:
        """ORDER_TRADE_UPDATE: `execution` is NEW, CANCELED, CALCULATED, EXPIRED, TRADE or AMENDMENT."""
        if not account.listeners:
            return
        symbol, request = self.venue.symbols[order.symbol], order.request
        body: dict[str, Any] = {
            "s": order.symbol, "c": order.client_id, "S": "BUY" if order.buy else "SELL", "o": request.type,
            "f": request.tif, "q": symbol.qty(order.qty), "p": symbol.price(order.price),
            "ap": symbol.price(order.average), "sp": symbol.price(request.stop_price), "x": execution,
            "X": order.status, "i": order.id, "l": symbol.qty(trade.qty if trade else 0),
            "z": symbol.qty(order.executed), "L": symbol.price(trade.price if trade else 0),
        }  # fmt: skip
        if trade is not None:
            body |= {"n": text_of(trade.fee), "N": trade.asset}
        body |= {
            "T": self._now() // 1000, "t": trade.id if trade else 0, **self._resting(account, order),
            "m": bool(trade and trade.maker), "R": request.reduce_only, "wt": request.working_type,
            "ot": request.orig_type or request.type, "ps": request.position_side,
            "cp": request.close_position,
        }  # fmt: skip
        if request.callback:
            body |= {"AP": symbol.price(request.activate), "cr": fixed(request.callback * 100, 1)}
        body |= {
            "rp": text_of(trade.realised if trade else 0), "pP": request.price_protect, "si": 0, "ss": 0,
            "V": order.stp, "pm": request.price_match, "gtd": request.good_till_ms, "er": str(order.expiry),
        }  # fmt: skip
        self._publish(account, "ORDER_TRADE_UPDATE", "o", body)

    def trade_lite(self, account: UmAccount, order: UmOrder, fill: UmTrade) -> None:
        """TRADE_LITE: the fill without what takes time to work out."""
        if not account.listeners:
            return
        now, symbol = self._now(), self.venue.symbols[order.symbol]
        account.publish(
            {
                "e": "TRADE_LITE", "E": now, "T": now, "s": order.symbol, "q": symbol.qty(order.qty),
                "p": symbol.price(order.price), "m": fill.maker, "c": order.client_id,
                "S": "BUY" if order.buy else "SELL", "L": symbol.price(fill.price),
                "l": symbol.qty(fill.qty), "t": fill.id, "i": order.id,
            }
        )  # fmt: skip

    def account(
        self,
        account: UmAccount,
        reason: str,
        changes: Mapping[str, int],
        positions: Sequence[Position] = (),
    ) -> None:
        """ACCOUNT_UPDATE with the wallets of `changes` and the positions given.

        Parameters
        ----------
        changes
            Asset -> what changed its wallet other than profit and commission.
        """
        if not account.listeners:
            return
        wallets = []
        for asset, change in changes.items():
            total = margin.asset_margin(self.venue, account, asset)
            wallets.append(
                {
                    "a": asset, "wb": text_of(total.wallet), "cw": text_of(total.cross_wallet),
                    "bc": text_of(change),
                }
            )  # fmt: skip
        held = [self._position(account, position) for position in positions]
        self._publish(account, "ACCOUNT_UPDATE", "a", {"m": reason, "B": wallets, "P": held})

    def margin_call(
        self, account: UmAccount, positions: Sequence[Position], cross_wallet: int | None
    ) -> None:
        """MARGIN_CALL; `cross_wallet` belongs to a call on cross positions."""
        if not account.listeners:
            return
        event: dict[str, Any] = {"e": "MARGIN_CALL", "E": self._now()}
        if cross_wallet is not None:
            event["cw"] = text_of(cross_wallet)
        event["p"] = [self._called(account, position) for position in positions]
        account.publish(event)

    def leverage(self, account: UmAccount, symbol: str, leverage: int) -> None:
        """ACCOUNT_CONFIG_UPDATE of a symbol's leverage."""
        self._publish(account, "ACCOUNT_CONFIG_UPDATE", "ac", {"s": symbol, "l": leverage})

    def multi_assets(self, account: UmAccount) -> None:
        """ACCOUNT_CONFIG_UPDATE of the asset mode."""
        self._publish(account, "ACCOUNT_CONFIG_UPDATE", "ai", {"j": account.multi_assets})

    def algo(self, account: UmAccount, order: AlgoOrder) -> None:
        """ALGO_UPDATE."""
        if not account.listeners:
            return
        symbol, request = self.venue.symbols[order.request.symbol], order.request
        actual = account.orders.get(order.order_id)
        body = {
            "caid": request.client_id, "aid": order.id, "at": "CONDITIONAL", "o": order.kind,
            "s": request.symbol, "S": "BUY" if request.buy else "SELL", "ps": request.position_side,
            "f": request.tif, "q": symbol.qty(request.qty or 0), "X": order.status,
            "ai": str(order.order_id) if order.order_id else "",
            "ap": symbol.price(actual.average if actual else 0),
            "aq": symbol.qty(actual.executed if actual else 0), "act": actual.request.type if actual else "",
            "tp": symbol.price(order.trigger), "p": symbol.price(request.price or 0), "V": request.stp,
            "wt": request.working_type, "pm": request.price_match, "cp": request.close_position,
            "pP": request.price_protect, "R": request.reduce_only, "tt": order.trigger_us // 1000,
            "gtd": request.good_till_ms, "rm": order.reason,
        }  # fmt: skip
        account.publish({"e": "ALGO_UPDATE", "T": order.update_us, "E": order.update_us, "o": body})

    def _now(self) -> int:
        return self.venue.clock.now_us()

    def _publish(self, account: UmAccount, name: str, member: str, body: dict[str, Any]) -> None:
        now = self._now()
        account.publish({"e": name, "T": now, "E": now, member: body})

    def _resting(self, account: UmAccount, order: UmOrder) -> dict[str, str]:
        """Notional of the account's open bids and asks (`b`, `a`) of the order's position side."""
        bids, asks = margin.order_notionals(account, order.symbol, order.request.position_side)
        return {"b": text_of(bids) if bids else "0", "a": text_of(asks) if asks else "0"}

    def _position(self, account: UmAccount, position: Position) -> dict[str, str]:
        symbol = self.venue.symbols[position.symbol]
        isolated = account.setting(position.symbol).isolated
        return {
            "s": position.symbol, "pa": symbol.qty(position.qty), "ep": text_of(position.entry),
            "cr": text_of(position.realised),
            "up": text_of(position.unrealised(self.venue.mark(position.symbol))),
            "mt": "isolated" if isolated else "cross", "iw": text_of(position.isolated_wallet),
            "ps": position.side, "ma": symbol.asset, "bep": text_of(position.break_even),
        }  # fmt: skip

    def _called(self, account: UmAccount, position: Position) -> dict[str, str]:
        symbol, mark = self.venue.symbols[position.symbol], self.venue.mark(position.symbol)
        return {
            "s": position.symbol, "ps": position.side, "pa": symbol.qty(position.qty),
            "mt": "ISOLATED" if account.setting(position.symbol).isolated else "CROSSED",
            "iw": text_of(position.isolated_wallet), "mp": text_of(mark),
            "up": text_of(position.unrealised(mark)),
            "mm": text_of(maintenance(symbol.brackets, position.notional(mark))),
        }  # fmt: skip
