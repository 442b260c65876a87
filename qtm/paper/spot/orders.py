"""A spot order: what was asked, its state, its trades and amendments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qtm.paper.matching import BookOrder

STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
LIMIT_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})


class SpotTrade(NamedTuple):
    """One side of an execution as an account sees it; amounts in 1e-8 units, time in microseconds."""

    id: int
    order_id: int
    order_list_id: int
    price: int
    qty: int
    quote: int
    commission: int
    commission_asset: str
    time_us: int
    buyer: bool
    maker: bool
    allocation_id: int = -1
    """Which allocation of smart order routing it is; -1 for a trade."""


class PreventedMatch(NamedTuple):
    """A match that self-trade prevention stopped."""

    id: int
    taker_order_id: int
    maker_order_id: int
    trade_group_id: int
    mode: str
    price: int
    maker_qty: int
    taker_qty: int
    time_us: int
    maker_symbol: str = ""


class Amendment(NamedTuple):
    """One amendment of an order."""

    execution_id: int
    orig_client_id: str
    new_client_id: str
    orig_qty: int
    new_qty: int
    time_us: int


@dataclass(slots=True, kw_only=True)
class NewOrder:
    """A parsed order request; amounts in 1e-8 units, None where not sent."""

    symbol: str
    buy: bool
    type: str
    tif: str = "GTC"
    qty: int | None = None
    quote_qty: int | None = None
    price: int | None = None
    client_id: str = ""
    stop_price: int | None = None
    trailing_delta: int | None = None
    iceberg: int | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    resp_type: str = ""
    stp: str = ""
    peg_type: str | None = None
    peg_offset_type: str | None = None
    peg_offset: int | None = None
    sor: bool = False


class SpotOrder(BookOrder):
    """One order of an account. Times in microseconds of market time."""

    __slots__ = (
        "amendments",
        "cancel_id",
        "client_id",
        "expiry_reason",
        "fills",
        "list_id",
        "locked",
        "peg_offset",
        "peg_offset_type",
        "peg_type",
        "prevented",
        "prevented_id",
        "prevented_qty",
        "quote_executed",
        "quote_qty",
        "status",
        "stop_price",
        "strategy_id",
        "strategy_type",
        "symbol",
        "tif",
        "time_us",
        "trade_group_id",
        "trailing_delta",
        "trailing_extreme",
        "trailing_time_us",
        "type",
        "update_us",
        "used_sor",
        "working",
        "working_floor",
        "working_us",
    )

    def __init__(self, order_id: int, account: str, request: NewOrder, now_us: int) -> None:
        super().__init__(
            order_id,
            account,
            buy=request.buy,
            qty=request.qty or 0,
            price=request.price or 0,
            stp=request.stp,
            iceberg=request.iceberg or 0,
        )
        self.symbol = request.symbol
        self.type = request.type
        self.tif = request.tif
        self.client_id = request.client_id
        self.cancel_id = ""
        self.quote_qty = request.quote_qty or 0
        self.quote_executed = 0
        self.status = "NEW"
        self.stop_price = request.stop_price or 0
        self.trailing_delta = request.trailing_delta
        self.trailing_time_us = 0
        self.trailing_extreme = 0
        self.strategy_id = request.strategy_id
        self.strategy_type = request.strategy_type
        self.list_id = -1
        self.time_us = now_us
        self.update_us = now_us
        self.working_us = -1
        self.working = False
        self.locked = 0
        self.fills: list[SpotTrade] = []
        self.expiry_reason = ""
        self.prevented_qty = 0
        self.prevented: list[PreventedMatch] = []
        self.prevented_id = 0
        self.trade_group_id = 0
        self.amendments: list[Amendment] = []
        self.peg_type = request.peg_type
        self.peg_offset_type = request.peg_offset_type
        self.peg_offset = request.peg_offset
        self.used_sor = request.sor
        self.working_floor = "EXCHANGE" if request.sor else ""

    @property
    def remaining(self) -> int:
        """Quantity still to trade (self-trade prevention may have taken some away)."""
        return self.qty - self.executed - self.prevented_qty

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to the order."""
        return self.status in OPEN
