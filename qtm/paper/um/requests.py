"""Reading futures order requests: what each type needs, with the venue's errors."""

from __future__ import annotations

import uuid

from qtm.paper.errors import ApiError, mandatory, not_required
from qtm.paper.params import Params
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.symbols import ORDER_TYPES, TIFS

PRICE_MATCHES = ("NONE", "OPPONENT", "OPPONENT_5", "OPPONENT_10", "OPPONENT_20",
                 "QUEUE", "QUEUE_5", "QUEUE_10", "QUEUE_20")  # fmt: skip
STP_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
CONDITIONAL = ORDER_TYPES[2:]
HUNDREDTH = 1_000_000
"""One per cent in 1e-8."""


def choice(params: Params, name: str, allowed: tuple[str, ...], default: str) -> str:
    """A parameter with a closed list of values; -1130 otherwise."""
    value = params.text(name)
    if value is None:
        return default
    if value not in allowed:
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return value


def read_side(params: Params) -> bool:
    """True for BUY; -1117 otherwise than BUY or SELL."""
    side = params.required("side")
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    return side == "BUY"


def read_order(params: Params) -> NewUmOrder:
    """Parse POST order; -4120 for the types that moved to algoOrder."""
    kind = params.required("type")
    if kind in CONDITIONAL:
        raise ApiError(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if kind not in ("LIMIT", "MARKET"):
        raise ApiError(-1116, "Invalid orderType.")
    request = _common(params, kind, params.client_id("newClientOrderId"))
    if request.qty is None:
        raise mandatory("quantity")
    return request


def read_algo(params: Params) -> tuple[NewUmOrder, str, int, int, int]:
    """Parse POST algoOrder; returns the later order, type, trigger, activation price, callback rate."""
    if params.required("algoType") != "CONDITIONAL":
        raise ApiError(-1130, "Data sent for parameter 'algoType' is not valid.")
    kind = params.required("type")
    if kind not in CONDITIONAL:
        raise ApiError(-1116, "Invalid orderType.")
    later = "LIMIT" if kind in ("STOP", "TAKE_PROFIT") else "MARKET"
    request = _common(params, later, params.client_id("clientAlgoId"))
    if request.close_position and (request.qty is not None or request.reduce_only):
        raise not_required("quantity" if request.qty is not None else "reduceOnly")
    if not request.close_position and request.qty is None:
        raise mandatory("quantity")
    trigger, activate = params.amount("triggerPrice"), params.amount("activatePrice")
    callback = params.amount("callbackRate")
    if kind == "TRAILING_STOP_MARKET":
        if callback is None:
            raise mandatory("callbackRate")
        if not HUNDREDTH * 10 <= callback <= HUNDREDTH * 1000:
            raise ApiError(-2007, "Invalid callBack rate.")
    elif not trigger:
        raise mandatory("triggerPrice")
    return request, kind, trigger or 0, activate or 0, (callback or 0) // 100


def _common(params: Params, kind: str, client_id: str | None) -> NewUmOrder:
    tif = params.text("timeInForce")
    if tif is not None and tif not in TIFS:
        raise ApiError(-1115, "Invalid timeInForce.")
    price, match = params.amount("price"), choice(params, "priceMatch", PRICE_MATCHES, "NONE")
    if kind == "LIMIT":
        if tif is None:
            raise mandatory("timeInForce")
        if price is None and match == "NONE":
            raise mandatory("price")
        if price is not None and match != "NONE":
            raise not_required("price")
    elif price is not None:
        raise not_required("price")
    till = params.integer("goodTillDate") or 0
    if (tif == "GTD") != bool(till):
        raise mandatory("goodTillDate") if tif == "GTD" else not_required("goodTillDate")
    return NewUmOrder(
        symbol=params.required("symbol"),
        buy=read_side(params),
        type=kind,
        client_id=client_id or uuid.uuid4().hex[:22],
        position_side=choice(params, "positionSide", ("BOTH", "LONG", "SHORT"), "BOTH"),
        tif=tif or "GTC",
        qty=params.amount("quantity"),
        price=price,
        reduce_only=params.flag("reduceOnly"),
        close_position=params.flag("closePosition"),
        price_match=match,
        stp=choice(params, "selfTradePreventionMode", STP_MODES, "EXPIRE_MAKER").replace(
            "NONE", "EXPIRE_MAKER"
        ),
        good_till_ms=till // 1000 * 1000,
        resp_type=choice(params, "newOrderRespType", ("ACK", "RESULT"), "ACK"),
        working_type=choice(params, "workingType", ("CONTRACT_PRICE", "MARK_PRICE"), "CONTRACT_PRICE"),
        price_protect=params.flag("priceProtect"),
    )
