"""Every answer, stream payload and user event of spot has the protocol's members, order and types."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.paper.answer_shape import notation, shape_of
from tests.paper.tour import Tour

PINNED = Path(__file__).with_name("answer_shapes.txt")

MODELS = {
    "POST order FULL": "NewOrderResponse",
    "GET order": "GetOrderResponse",
    "DELETE order": "DeleteOrderResponse",
    "POST order/cancelReplace": "OrderCancelReplaceResponse",
    "POST order/test": "OrderTestResponse",
    "PUT order/amend/keepPriority": "OrderAmendKeepPriorityResponse",
    "GET order/amendments": "OrderAmendmentsResponse",
    "POST orderList/oco": "OrderListOcoResponse",
    "POST orderList/oto": "OrderListOtoResponse",
    "POST orderList/opo": "OrderListOpoResponse",
    "POST sor/order": "SorOrderResponse",
    "GET orderList": "GetOrderListResponse",
    "DELETE orderList": "DeleteOrderListResponse",
    "GET account": "GetAccountResponse",
    "GET account/commission": "AccountCommissionResponse",
    "GET myTrades": "MyTradesResponse",
    "GET myAllocations": "MyAllocationsResponse",
    "GET myPreventedMatches": "MyPreventedMatchesResponse",
    "GET rateLimit/order": "RateLimitOrderResponse",
    "GET exchangeInfo": "ExchangeInfoResponse",
    "GET depth": "DepthResponse",
    "GET trades": "GetTradesResponse",
    "GET aggTrades": "AggTradesResponse",
    "GET avgPrice": "AvgPriceResponse",
    "GET referencePrice": "ReferencePriceResponse",
}
"""Answers and the official SDK's models of them."""

OUR_OWN = {"tradeGroupId", "sors", "closeTime", "selfTradePreventionMode"}
"""Documented members that some of the SDK's models have not caught up with."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen() -> dict[str, Any]:
    return await Tour().make()


@pytest.mark.asyncio(loop_scope="module")
async def test_each_answer_is_pinned(seen: dict[str, Any]) -> None:
    pinned = dict(line.split(" = ", 1) for line in PINNED.read_text().splitlines() if line and line[0] != "#")
    found = {name: notation(shape_of(body)) for name, body in seen.items()}
    assert found.keys() == pinned.keys()
    assert {name: shape for name, shape in found.items() if shape != pinned[name]} == {}


def members_of(value: Any) -> set[str]:
    """Every member's name, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*(members_of(member) for member in value.values()))
    if isinstance(value, list):
        return set().union(*(members_of(element) for element in value))
    return set()


def members_of_model(model: Any, known: set[str]) -> set[str]:
    """Every member's name in an SDK model and the models it holds."""
    found = {field.alias or name for name, field in model.model_fields.items()}
    module = importlib.import_module(model.__module__)
    for other in vars(module).values():
        fresh = isinstance(other, type) and hasattr(other, "model_fields") and other.__name__ not in known
        if fresh and other.__module__.startswith("binance_sdk_spot"):
            known.add(other.__name__)
            found |= members_of_model(other, known)
    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", MODELS)
async def test_the_official_sdk_knows_every_member(seen: dict[str, Any], name: str) -> None:
    models = importlib.import_module("binance_sdk_spot.rest_api.models")
    model = getattr(models, MODELS[name])
    unknown = members_of(seen[name]) - members_of_model(model, {MODELS[name]}) - OUR_OWN
    if name == "GET exchangeInfo":
        filters = importlib.import_module("binance_sdk_spot.rest_api.models.symbol_filters")
        unknown -= members_of_model(filters.SymbolFilters, set())
    assert unknown == set()
