"""What a listing does not offer, refused with the venue's words (-1013, before the matching engine)."""

from __future__ import annotations

from qtm.paper.errors import ApiError
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.symbols import SpotSymbol

_TYPES = {
    "MARKET": "Market", "LIMIT_MAKER": "Limit maker", "STOP_LOSS": "Stop loss",
    "STOP_LOSS_LIMIT": "Stop loss limit", "TAKE_PROFIT": "Take profit",
    "TAKE_PROFIT_LIMIT": "Take profit limit", "LIMIT": "Limit",
}  # fmt: skip

_FEATURES = {
    "icebergAllowed": "Iceberg orders are not supported for this symbol.",
    "quoteOrderQtyMarketAllowed": "Quote order qty market orders are not support for this symbol.",
    "allowTrailingStop": "Trailing stop orders are not supported for this symbol.",
    "pegInstructionsAllowed": "Pegged orders are not supported for this symbol.",
    "cancelReplaceAllowed": "Order cancel-replace is not supported for this symbol.",
    "amendAllowed": "Order amend is not supported for this symbol.",
    "ocoAllowed": "OCO orders are not supported for this symbol",
    "otoAllowed": "OTO orders are not supported for this symbol",
    "opoAllowed": "OPO orders are not supported for this symbol.",
}


def require(symbol: SpotSymbol, feature: str) -> None:
    """-1013 unless the listing offers a feature, named as in exchangeInfo."""
    if not symbol.features[feature]:
        raise ApiError(-1013, _FEATURES[feature])


def check_supported(symbol: SpotSymbol, request: NewOrder) -> None:
    """-1013 for an order type, or an instruction on it, that the symbol does not offer."""
    if request.type not in symbol.order_types:
        raise ApiError(-1013, f"{_TYPES[request.type]} orders are not supported for this symbol.")
    for sent, feature in (
        (request.iceberg, "icebergAllowed"),
        (request.quote_qty, "quoteOrderQtyMarketAllowed"),
        (request.trailing_delta, "allowTrailingStop"),
        (request.peg_type, "pegInstructionsAllowed"),
    ):
        if sent is not None:
            require(symbol, feature)
