"""What own orders cost, beside what the cost model says they cost, and the model fitted to them.

Implementation shortfall (Perold, Journal of Portfolio Management, 1988) measures an order from the price it
was decided at: the close before it. Up to the price it meets, the open after it, the market moved while
nobody traded (delay); from there to the average price paid is slippage; commission comes on top. The same
`CostModel` that the engine trades with says what slippage and commission were to be expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import select

from qtm.errors import DataError
from qtm.market.bars import BarSeries
from qtm.store.database import Database
from qtm.store.schema import fills, orders
from qtm.trading.calibration import SlippageFit, fit_slippage
from qtm.trading.costs import CostModel, commission, next_variance, slippage_of

SHORTFALL_SCHEMA = {
    "client_order_id": pl.String,
    "strategy": pl.String,
    "decided_ms": pl.Int64,
    "side": pl.Int64,
    "asked": pl.Float64,
    "qty": pl.Float64,
    "paid": pl.Float64,
    "decision_price": pl.Float64,
    "reference": pl.Float64,
    "volume": pl.Float64,
    "sigma": pl.Float64,
    "fee": pl.Float64,
    "delay_bps": pl.Float64,
    "slippage_bps": pl.Float64,
    "model_bps": pl.Float64,
    "model_fee": pl.Float64,
}
"""One order: quantities in base units, prices and fees in quote currency; positive basis points cost.

Delay is over the decision price, slippage over the reference.
"""


@dataclass(frozen=True)
class ShortfallReport:
    """Own taker orders of one symbol beside the model.

    Attributes
    ----------
    orders
        Rows of `SHORTFALL_SCHEMA`, in the order they were decided.
    fit
        The model fitted to them; None when there are too few.
    skipped
        Filled orders left out: makers, or decided outside the bars given.
    """

    symbol: str
    costs: CostModel
    orders: pl.DataFrame
    fit: SlippageFit | None
    skipped: int

    def totals(self) -> dict[str, float]:
        """Notional, and cost in quote currency by part: as it was, and by the model."""
        rows = self.orders
        value = rows["qty"] * rows["reference"]
        found = {
            "notional": _sum(value),
            "delay": _sum(rows["qty"] * rows["decision_price"] * rows["delay_bps"]) * 1e-4,
            "slippage": _sum(value * rows["slippage_bps"]) * 1e-4,
            "fees": _sum(rows["fee"]),
            "model_slippage": _sum(value * rows["model_bps"]) * 1e-4,
            "model_fees": _sum(rows["model_fee"]),
        }
        found["shortfall"] = found["delay"] + found["slippage"] + found["fees"]
        found["filled_share"] = _sum(rows["qty"]) / _sum(rows["asked"]) if len(rows) else 0.0
        return found


def shortfall(
    database: Database, account: str, symbol: str, bars: BarSeries, costs: CostModel
) -> ShortfallReport:
    """Measure the filled taker orders of an account on one symbol.

    Parameters
    ----------
    bars
        The bars the orders were decided on: an order decided at a close meets the open of the bar that
        begins there.

    Raises
    ------
    DataError
        When the account has no filled order on the symbol.
    """
    found = _filled(database, account, symbol)
    if not found:
        raise DataError(
            "there are no fills to measure", where=f"account {account}, {symbol}", remedy="trade first"
        )
    sigma = _volatility(bars)
    index = {int(opened): at for at, opened in enumerate(bars.open_time_ms)}
    rows = []
    for order in found:
        at = index.get(order.decided_ms)
        if order.maker or at is None or at == 0:
            continue
        reference, volume = float(bars.open[at]), float(bars.volume[at])
        before, moves = float(bars.close[at - 1]), float(sigma[at - 1])
        expected = slippage_of(order.qty, volume, moves, costs)
        fee_base, fee_quote = commission(order.side, order.qty, order.paid, False, costs)
        rows.append(
            (
                order.client_order_id, order.strategy, order.decided_ms, order.side, order.asked, order.qty,
                order.paid, before, reference, volume, moves, order.fee,
                order.side * (reference / before - 1.0) * 1e4,
                order.side * (order.paid / reference - 1.0) * 1e4,
                expected, fee_base * order.paid + fee_quote,
            )
        )  # fmt: skip
    table = pl.DataFrame(rows, schema=SHORTFALL_SCHEMA, orient="row")
    return ShortfallReport(symbol, costs, table, _fit(table), len(found) - len(rows))


def _fit(table: pl.DataFrame) -> SlippageFit | None:
    measurable = table.filter(pl.col("volume") > 0.0)
    pressure = measurable["sigma"] * 1e4 * (measurable["qty"] / measurable["volume"]).sqrt()
    try:
        return fit_slippage(measurable["slippage_bps"].to_numpy(), pressure.to_numpy())
    except DataError:
        return None


def _volatility(bars: BarSeries) -> npt.NDArray[np.float64]:
    """Standard deviation of a bar's return as the engine knows it at each close; shape (T,)."""
    found, variance, before = np.empty(len(bars)), 0.0, 0.0
    for at, close in enumerate(bars.close.tolist()):
        variance, before = next_variance(variance, before, close), close
        found[at] = variance
    return np.sqrt(found)


@dataclass(frozen=True, slots=True)
class _Order:
    """A filled order with its executions added up; `fee` in quote currency."""

    client_order_id: str
    strategy: str
    decided_ms: int
    side: int
    asked: float
    qty: float
    paid: float
    fee: float
    maker: bool


def _filled(database: Database, account: str, symbol: str) -> Sequence[_Order]:
    query = (
        select(
            orders.c.client_order_id, orders.c.strategy, orders.c.decided_ms, orders.c.side,
            orders.c.qty.label("asked"), fills.c.qty, fills.c.price, fills.c.fee, fills.c.fee_asset,
            fills.c.maker,
        )
        .join(fills, fills.c.client_order_id == orders.c.client_order_id)
        .where(orders.c.account == account, orders.c.symbol == symbol)
        .order_by(orders.c.decided_ms, orders.c.client_order_id)
    )  # fmt: skip
    with database.read() as connection:
        parts = connection.execute(query).all()
    grouped: dict[str, list[Any]] = {}
    for part in parts:
        grouped.setdefault(part.client_order_id, []).append(part)
    return [_added_up(same, symbol) for same in grouped.values()]


def _added_up(parts: Sequence[Any], symbol: str) -> _Order:
    first = parts[0]
    qty = sum(float(part.qty) for part in parts)
    value = sum(float(part.qty) * float(part.price) for part in parts)
    return _Order(
        client_order_id=first.client_order_id,
        strategy=first.strategy,
        decided_ms=int(first.decided_ms),
        side=1 if first.side == "BUY" else -1,
        asked=float(first.asked),
        qty=qty,
        paid=value / qty,
        fee=sum(_fee_in_quote(part, symbol) for part in parts),
        maker=any(bool(part.maker) for part in parts),
    )


def _fee_in_quote(part: Any, symbol: str) -> float:
    """A commission in quote currency; one in a third asset (BNB) is left to the rate the account pays."""
    if symbol.endswith(part.fee_asset):
        return float(part.fee)
    return float(part.fee) * float(part.price) if symbol.startswith(part.fee_asset) else 0.0


def _sum(column: pl.Series) -> float:
    return float(column.sum())
