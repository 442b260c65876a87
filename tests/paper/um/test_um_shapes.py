"""Every futures answer and event, member by member: names, order, types, decimals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.paper.clients import Rest
from tests.paper.um.shape_checks import AMOUNT, MILLISECONDS, Decimals, check
from tests.paper.um.um_worlds import Desk, exchange

P, Q, FIVE = Decimals(2), Decimals(3), Decimals(5)
TIME = MILLISECONDS
ORDER: dict[str, Any] = {
    "orderId": int, "symbol": str, "status": str, "clientOrderId": str, "price": P, "avgPrice": Decimals(),
    "origQty": Q, "executedQty": Q, "cumQty": Q, "cumQuote": FIVE, "timeInForce": str, "type": str,
    "reduceOnly": bool, "closePosition": bool, "side": {"BUY", "SELL"},
    "positionSide": {"BOTH", "LONG", "SHORT"}, "stopPrice": P, "workingType": str, "priceProtect": bool,
    "origType": str, "priceMatch": str, "selfTradePreventionMode": str, "goodTillDate": int,
    "updateTime": TIME,
}  # fmt: skip
QUERIED = {}
for _name, _shape in ORDER.items():
    if _name == "updateTime":
        QUERIED["time"] = TIME
    if _name != "cumQty":
        QUERIED[_name] = _shape
ALGO = {
    "algoId": int, "clientAlgoId": str, "algoType": {"CONDITIONAL"}, "orderType": str, "symbol": str,
    "side": str, "positionSide": str, "timeInForce": str, "quantity": Q, "algoStatus": str,
    "triggerPrice": P, "price": P, "icebergQuantity": type(None), "selfTradePreventionMode": str,
    "workingType": str, "priceMatch": str, "closePosition": bool, "priceProtect": bool, "reduceOnly": bool,
    "activatePrice": str, "callbackRate": str, "createTime": TIME, "updateTime": TIME, "triggerTime": int,
    "goodTillDate": int,
}  # fmt: skip
RISK = {
    "symbol": str, "positionSide": str, "positionAmt": Q, "entryPrice": AMOUNT, "breakEvenPrice": AMOUNT,
    "markPrice": AMOUNT, "unRealizedProfit": AMOUNT, "liquidationPrice": AMOUNT, "isolatedMargin": AMOUNT,
    "notional": AMOUNT, "marginAsset": str, "isolatedWallet": AMOUNT, "initialMargin": AMOUNT,
    "maintMargin": AMOUNT, "positionInitialMargin": AMOUNT, "openOrderInitialMargin": AMOUNT, "adl": int,
    "bidNotional": AMOUNT, "askNotional": AMOUNT, "updateTime": int,
}  # fmt: skip
ASSET = {
    "asset": str, "walletBalance": AMOUNT, "unrealizedProfit": AMOUNT, "marginBalance": AMOUNT,
    "maintMargin": AMOUNT, "initialMargin": AMOUNT, "positionInitialMargin": AMOUNT,
    "openOrderInitialMargin": AMOUNT, "crossWalletBalance": AMOUNT, "crossUnPnl": AMOUNT,
    "availableBalance": AMOUNT, "maxWithdrawAmount": AMOUNT, "updateTime": TIME,
}  # fmt: skip
ACCOUNT = {
    **dict.fromkeys(
        ("totalInitialMargin", "totalMaintMargin", "totalWalletBalance", "totalUnrealizedProfit",
         "totalMarginBalance", "totalPositionInitialMargin", "totalOpenOrderInitialMargin",
         "totalCrossWalletBalance", "totalCrossUnPnl", "availableBalance", "maxWithdrawAmount"),
        AMOUNT,
    ),
    "assets": [ASSET],
    "positions": [
        {
            "symbol": str, "positionSide": str, "positionAmt": Q, "unrealizedProfit": AMOUNT,
            "isolatedMargin": AMOUNT, "notional": AMOUNT, "isolatedWallet": AMOUNT, "initialMargin": AMOUNT,
            "maintMargin": AMOUNT, "updateTime": int,
        }
    ],
}  # fmt: skip
KLINE = [(TIME, P, P, P, P, Q, TIME, FIVE, int, Q, FIVE, {"0"})]
PRICE_KLINE = [(TIME, AMOUNT, AMOUNT, AMOUNT, AMOUNT, {"0"}, TIME, {"0"}, int, {"0"}, {"0"}, {"0"})]
PREMIUM = {
    "symbol": str, "markPrice": AMOUNT, "indexPrice": AMOUNT, "estimatedSettlePrice": AMOUNT,
    "lastFundingRate": AMOUNT, "interestRate": AMOUNT, "nextFundingTime": TIME, "time": TIME,
}  # fmt: skip
DAY = {
    "symbol": str, "priceChange": P, "priceChangePercent": Q, "weightedAvgPrice": P, "lastPrice": P,
    "lastQty": Q, "openPrice": P, "highPrice": P, "lowPrice": P, "volume": Q, "quoteVolume": P,
    "openTime": TIME, "closeTime": TIME, "firstId": int, "lastId": int, "count": int,
}  # fmt: skip
BRACKET = {
    "bracket": int, "initialLeverage": int, "notionalCap": int, "notionalFloor": int,
    "maintMarginRatio": float, "cum": float,
}  # fmt: skip
CONTRACT = {
    "symbol": str, "pair": str, "contractType": {"PERPETUAL"}, "deliveryDate": int, "onboardDate": int,
    "status": str, "maintMarginPercent": Decimals(4), "requiredMarginPercent": Decimals(4),
    "baseAsset": str, "quoteAsset": str, "marginAsset": str, "pricePrecision": int, "quantityPrecision": int,
    "baseAssetPrecision": int, "quotePrecision": int, "underlyingType": str, "underlyingSubType": list,
    "triggerProtect": Decimals(4), "liquidationFee": Decimals(6),
    "marketTakeBound": Decimals(2), "maxMoveOrderLimit": int, "filters": list, "orderTypes": list,
    "timeInForce": list, "permissionSets": list,
}  # fmt: skip
PUBLIC: dict[str, tuple[dict[str, str], Any]] = {
    "ping": ({}, {}),
    "time": ({}, {"serverTime": TIME}),
    "exchangeInfo": ({}, {
        "timezone": {"UTC"}, "serverTime": TIME, "futuresType": {"U_MARGINED"},
        "rateLimits": [{"rateLimitType": str, "interval": str, "intervalNum": int, "limit": int}],
        "exchangeFilters": list,
        "assets": [{"asset": str, "marginAvailable": bool, "autoAssetExchange": str}],
        "symbols": [CONTRACT],
    }),
    "depth": ({"symbol": "BTCUSDT"}, {"lastUpdateId": int, "E": TIME, "T": TIME, "bids": [(P, Q)],
                                      "asks": [(P, Q)]}),
    "trades": ({"symbol": "BTCUSDT"}, [{"id": int, "price": P, "qty": Q, "quoteQty": P, "time": TIME,
                                        "isBuyerMaker": bool, "isRPITrade": bool}]),
    "aggTrades": ({"symbol": "BTCUSDT"}, [{"a": int, "p": P, "q": Q, "nq": Q, "f": int, "l": int, "T": TIME,
                                           "m": bool}]),
    "klines": ({"symbol": "BTCUSDT", "interval": "1m"}, KLINE),
    "continuousKlines": ({"pair": "BTCUSDT", "contractType": "PERPETUAL", "interval": "5m"}, KLINE),
    "markPriceKlines": ({"symbol": "BTCUSDT", "interval": "1m"}, PRICE_KLINE),
    "indexPriceKlines": ({"pair": "BTCUSDT", "interval": "1m"}, PRICE_KLINE),
    "premiumIndexKlines": ({"symbol": "BTCUSDT", "interval": "1m"}, PRICE_KLINE),
    "premiumIndex": ({"symbol": "BTCUSDT"}, PREMIUM),
    "fundingRate": ({}, [{"symbol": str, "fundingTime": TIME, "fundingRate": AMOUNT, "markPrice": str}]),
    "ticker/24hr": ({"symbol": "BTCUSDT"}, DAY),
    "ticker/price": ({"symbol": "BTCUSDT"}, {"symbol": str, "price": P, "time": TIME}),
    "ticker/bookTicker": ({}, [{"symbol": str, "bidPrice": P, "bidQty": Q, "askPrice": P, "askQty": Q,
                                "time": TIME, "lastUpdateId": int}]),
    "openInterest": ({"symbol": "BTCUSDT"}, {"symbol": str, "openInterest": Q, "time": TIME}),
    "constituents": ({"symbol": "BTCUSDT"}, {"symbol": str, "time": TIME, "constituents": [
        {"exchange": str, "symbol": str, "price": AMOUNT, "weight": AMOUNT}]}),
    "insuranceBalance": ({"symbol": "BTCUSDT"}, {"symbols": list, "assets": [
        {"asset": str, "marginBalance": AMOUNT, "updateTime": TIME}]}),
    "symbolAdlRisk": ({"symbol": "BTCUSDT"}, {"symbol": str, "adlRisk": {"low", "medium", "high"},
                                              "updateTime": TIME}),
    "assetIndex": ({"symbol": "BTCUSD"}, {
        "symbol": str, "time": TIME, "index": AMOUNT, "bidBuffer": AMOUNT, "askBuffer": AMOUNT,
        "bidRate": AMOUNT, "askRate": AMOUNT, "autoExchangeBidBuffer": AMOUNT,
        "autoExchangeAskBuffer": AMOUNT, "autoExchangeBidRate": AMOUNT, "autoExchangeAskRate": AMOUNT,
    }),
}  # fmt: skip
PRIVATE: dict[str, tuple[dict[str, str], Any]] = {
    "v3/account": ({}, ACCOUNT),
    "v3/balance": ({}, [{"accountAlias": str, "asset": str, "balance": AMOUNT, "crossWalletBalance": AMOUNT,
                         "crossUnPnl": AMOUNT, "availableBalance": AMOUNT, "maxWithdrawAmount": AMOUNT,
                         "marginAvailable": bool, "updateTime": TIME}]),
    "v3/positionRisk": ({}, [RISK]),
    "v1/accountConfig": ({}, {"feeTier": int, "canTrade": bool, "canDeposit": bool, "canWithdraw": bool,
                              "dualSidePosition": bool, "updateTime": TIME, "multiAssetsMargin": bool,
                              "tradeGroupId": int}),
    "v1/symbolConfig": ({}, [{"symbol": str, "marginType": {"CROSSED"}, "isAutoAddMargin": bool,
                              "leverage": int, "maxNotionalValue": Decimals()}]),
    "v1/leverageBracket": ({}, [{"symbol": str, "brackets": [BRACKET]}]),
    "v1/commissionRate": ({"symbol": "BTCUSDT"}, {
        "symbol": str, "makerCommissionRate": Decimals(6), "takerCommissionRate": Decimals(6),
        "rpiCommissionRate": Decimals(6)}),
    "v1/income": ({}, [{"symbol": str, "incomeType": str, "income": AMOUNT, "asset": str, "info": str,
                        "time": TIME, "tranId": int, "tradeId": str}]),
    "v1/openOrders": ({}, [QUERIED]),
    "v1/allOrders": ({"symbol": "BTCUSDT"}, [QUERIED]),
    "v1/userTrades": ({"symbol": "BTCUSDT"}, [{
        "symbol": str, "id": int, "orderId": int, "side": str, "price": P, "qty": Q, "realizedPnl": AMOUNT,
        "quoteQty": AMOUNT, "commission": AMOUNT, "commissionAsset": str, "time": TIME, "positionSide": str,
        "maker": bool, "buyer": bool}]),
    "v1/adlQuantile": ({"symbol": "BTCUSDT"}, [{"symbol": str, "adlQuantile": {"LONG": int, "SHORT": int,
                                                                             "BOTH": int}}]),
    "v1/rateLimit/order": ({}, [{"rateLimitType": {"ORDERS"}, "interval": str, "intervalNum": int,
                                 "limit": int}]),
    "v1/positionSide/dual": ({}, {"dualSidePosition": bool}),
    "v1/multiAssetsMargin": ({}, {"multiAssetsMargin": bool}),
    "v1/feeBurn": ({}, {"feeBurn": bool}),
}  # fmt: skip
EVENTS: dict[str, Any] = {
    "ORDER_TRADE_UPDATE": {
        "s": str, "c": str, "S": str, "o": str, "f": str, "q": Q, "p": P, "ap": P, "sp": P, "x": str,
        "X": str, "i": int, "l": Q, "z": Q, "L": P, "n": AMOUNT, "N": str, "T": TIME, "t": int,
        "b": str, "a": str, "m": bool, "R": bool, "wt": str, "ot": str,
        "ps": str, "cp": bool, "rp": AMOUNT, "pP": bool,
        "si": int, "ss": int, "V": str, "pm": str, "gtd": int, "er": str,
    },
    "ACCOUNT_UPDATE": {
        "m": str, "B": [{"a": str, "wb": AMOUNT, "cw": AMOUNT, "bc": AMOUNT}],
        "P": [{"s": str, "pa": Q, "ep": AMOUNT, "cr": AMOUNT, "up": AMOUNT, "mt": {"cross"}, "iw": AMOUNT,
               "ps": str, "ma": str, "bep": AMOUNT}],
    },
}  # fmt: skip


@pytest.fixture
async def venue() -> AsyncIterator[Any]:
    async with exchange() as opened, Rest(opened.url, prefix="/fapi") as rest:
        market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.2"}
        placed = await rest.signed("POST", "v1/order", **market, newOrderRespType="RESULT")
        assert placed[0] == 200
        check(placed[1], ORDER)
        limit = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
        check((await rest.signed("POST", "v1/order", **limit, quantity="0.1", price="61000"))[1], ORDER)
        opened.advance(3)
        yield opened, rest


async def test_public_answers_have_the_venues_shape(venue: Any) -> None:
    _, rest = venue
    for path, (params, shape) in PUBLIC.items():
        status, body, _ = await rest.public(f"v1/{path}", **params)
        assert status == 200, (path, body)
        check(body, shape, path)
        assert not isinstance(body, list) or body or path == "fundingRate", path


async def test_private_answers_have_the_venues_shape(venue: Any) -> None:
    _, rest = venue
    for path, (params, shape) in PRIVATE.items():
        status, body, _ = await rest.signed("GET", path, **params)
        assert status == 200, (path, body)
        check(body, shape, path)
        assert body, path


async def test_conditional_orders_have_the_venues_shape(venue: Any) -> None:
    _, rest = venue
    stop = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET",
            "triggerPrice": "50000", "quantity": "0.1"}  # fmt: skip
    placed = (await rest.signed("POST", "v1/algoOrder", **stop))[1]
    check(placed, ALGO)
    listed = (await rest.signed("GET", "v1/openAlgoOrders"))[1][0]
    queried = (await rest.signed("GET", "v1/algoOrder", algoId=placed["algoId"]))[1]
    assert set(queried) - set(placed) == {
        "actualOrderId", "actualPrice", "actualType", "actualQty", "tpOrderType",
    }  # fmt: skip
    assert set(listed) - set(placed) == {
        "actualOrderId", "actualPrice", "tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice",
        "tpOrderType",
    }  # fmt: skip


def test_user_events_have_the_venues_shape() -> None:
    desk = Desk()
    desk.order(True, "10")
    for name, member in (("ORDER_TRADE_UPDATE", "o"), ("ACCOUNT_UPDATE", "a")):
        event = [e for e in desk.events["desk"] if e["e"] == name][-1]
        assert list(event) == ["e", "T", "E", member]
        check(event[member], EVENTS[name], name)
