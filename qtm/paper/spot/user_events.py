"""What the user stream tells: orders and balances. Times in microseconds; the delivery converts them."""

from __future__ import annotations

from typing import Any

from qtm.paper.spot.accounts import SpotAccount
from qtm.paper.spot.orders import SpotOrder, SpotTrade
from qtm.paper.wire import text_of


def account_position(account: SpotAccount, assets: list[str], event_us: int) -> dict[str, Any]:
    """The outboundAccountPosition event for the assets that changed."""
    return {
        "e": "outboundAccountPosition",
        "E": event_us,
        "u": event_us,
        "B": [
            {
                "a": asset,
                "f": text_of(account.balances[asset].free),
                "l": text_of(account.balances[asset].locked),
            }
            for asset in assets
        ],
    }


def execution_report(
    order: SpotOrder, execution: str, execution_id: int, event_us: int, *, trade: SpotTrade | None = None,
    reject: str = "NONE",
) -> dict[str, Any]:  # fmt: skip
    """The executionReport event; `execution` is NEW, CANCELED, TRADE, EXPIRED or TRADE_PREVENTION."""
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": event_us,
        "s": order.symbol,
        "c": order.client_id,
        "S": "BUY" if order.buy else "SELL",
        "o": order.type,
        "f": order.tif,
        "q": text_of(order.qty),
        "p": text_of(order.price),
        "P": text_of(order.stop_price),
    }
    if order.trailing_delta is not None:
        report["d"] = order.trailing_delta
    report |= {
        "F": text_of(order.iceberg),
        "g": order.list_id,
        "C": "",
        "x": execution,
        "X": order.status,
        "r": reject,
        "i": order.id,
        "l": text_of(trade.qty) if trade else "0.00000000",
        "z": text_of(order.executed),
        "L": text_of(trade.price) if trade else "0.00000000",
        "n": text_of(trade.commission) if trade else "0",
        "N": trade.commission_asset if trade else None,
        "T": order.update_us,
        "t": trade.id if trade else -1,
    }
    if order.prevented_id:
        report["v"] = order.prevented_id
    report |= {
        "I": execution_id,
        "w": order.working,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.time_us,
        "Z": text_of(order.quote_executed),
        "Y": text_of(trade.quote) if trade else "0.00000000",
        "Q": text_of(order.quote_qty),
    }
    if order.trailing_delta is not None and order.trailing_time_us:
        report["D"] = order.trailing_time_us
    if order.strategy_id is not None:
        report["j"] = order.strategy_id
    if order.strategy_type is not None:
        report["J"] = order.strategy_type
    if order.working_us >= 0:
        report["W"] = order.working_us
    report["V"] = order.stp
    if order.used_sor:
        if trade is not None and trade.allocation_id >= 0:
            report |= {"b": "ONE_PARTY_TRADE_REPORT", "a": trade.allocation_id}
        report |= {"k": order.working_floor, "uS": True}
    if order.trade_group_id:
        report["u"] = order.trade_group_id
    if order.peg_type:
        report |= {
            "gP": order.peg_type,
            "gOT": order.peg_offset_type,
            "gOV": order.peg_offset,
            "gp": text_of(order.price),
        }
    if order.expiry_reason:
        report["eR"] = order.expiry_reason
    return report
