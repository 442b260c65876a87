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


def read_stp(params: Params) -> str:
    """The self-trade prevention mode; NONE leaves it to the venue's default."""
    mode = params.text("selfTradePreventionMode")
    if mode is not None and mode not in STP_MODES:
        raise ApiError(-5039, "Invalid self trade prevention mode.")
    return "EXPIRE_MAKER" if mode in (None, "NONE") else str(mode)


def read_price_match(params: Params, kind: str) -> str:
    """The price match mode; -5037 for an unknown one, -5038 for an order without a price."""
    mode = params.text("priceMatch") or "NONE"
    if mode not in PRICE_MATCHES:
        raise ApiError(-5037, "Invalid price match")
    if mode != "NONE" and kind != "LIMIT":
        raise ApiError(-5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT")
    return mode


def read_side(params: Params) -> bool:
    """True for BUY; -1117 otherwise than BUY or SELL."""
    side = params.required("side")
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    return side == "BUY"


def read_client_id(params: Params, name: str) -> str | None:
    """A client order id; -4015 for one that is too long or holds other characters."""
    text = params.text(name)
    if text is None:
        return None
    if len(text) > 36:
        raise ApiError(-4015, "Client order id length should not be more than 36 chars")
    try:
        return params.client_id(name)
    except ApiError:
        raise ApiError(-4015, "Client order id is not valid.") from None


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
    request = _common(params, kind, read_client_id(params, "newClientOrderId"))
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
    request = _common(params, later, read_client_id(params, "clientAlgoId"))
    if request.close_position and request.qty:
        raise ApiError(-4137, "Quantity must be zero with closePosition equals true")
    if request.close_position and request.reduce_only:
        raise not_required("reduceonly")
    if request.close_position and later != "MARKET":
        raise not_required("closePosition")
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
    price, match = params.amount("price"), read_price_match(params, kind)
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
        position_side=_read_position_side(params),
        tif=tif or "GTC",
        qty=params.amount("quantity"),
        price=price,
        reduce_only=params.flag("reduceOnly"),
        close_position=params.flag("closePosition"),
        price_match=match,
        stp=read_stp(params),
        good_till_ms=till // 1000 * 1000,
        resp_type=_read_resp_type(params),
        working_type=_read_working_type(params),
        price_protect=params.flag("priceProtect"),
    )


def _read_position_side(params: Params) -> str:
    side = params.text("positionSide") or "BOTH"
    if side not in ("BOTH", "LONG", "SHORT"):
        raise ApiError(-4060, "Invalid position side.")
    return side


def _read_resp_type(params: Params) -> str:
    kind = params.text("newOrderRespType") or "ACK"
    if kind not in ("ACK", "RESULT"):
        raise ApiError(-1136, "Invalid newOrderRespType.")
    return kind


def _read_working_type(params: Params) -> str:
    kind = params.text("workingType") or "CONTRACT_PRICE"
    if kind not in ("CONTRACT_PRICE", "MARK_PRICE"):
        raise ApiError(-4031, f"Invalid parameter working type: {kind}")
    return kind
