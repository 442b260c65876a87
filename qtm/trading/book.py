"""A strategy's sub-book: position, cash, and the rule that turns a target into an order.

These compiled functions are the whole of a strategy's bookkeeping. The backtest engine loops over them and
the live stream calls them once per bar and once per fill, so a target becomes the same order in both.

Life of a target: `step` returns a desired target; while it differs from the target last achieved,
`order_lots` says what to trade; the order is either refused (`on_refused`), or filled (`on_fill`), or expires
unfilled (tried again at the next close). An order that leads out of a position is cut to the largest one the
limits admit, and the rest follows at the next closes (`leaving_lots`): an order limit never keeps a position.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.compiled import compiled
from qtm.market.instruments import Instrument, Market
from qtm.trading.costs import CostModel, commission

SUB_BOOK = np.dtype(
    [
        ("qty", "f8"),
        ("cash", "f8"),
        ("entry_price", "f8"),
        ("fees", "f8"),
        ("traded_notional", "f8"),
        ("realised", "f8"),
        ("desired", "f8"),
        ("achieved", "f8"),
        ("refused", "f8"),
        ("part", "i8"),
        ("orders", "i8"),
        ("fills", "i8"),
    ],
    align=True,
)
"""State of one strategy on one symbol: `qty` in base units, money in quote currency, targets as returned.

`refused` is the target of which an order was refused that would have opened, enlarged or turned the position:
of it only what shrinks the position is still tried. `part` is 1 while the present order does not settle the
target: it leads only part of the way, or the size is looked at again at every close.
"""

SIZE_BY_WEIGHT = 0
SIZE_BY_UNITS = 1


class Sizing(NamedTuple):
    """How a target becomes a quantity.

    With `SIZE_BY_WEIGHT` a target of 1.0 means `amount` x equity; with `SIZE_BY_UNITS` it means `amount` base
    units. An amount of NaN is a size nobody knows yet: nothing is ordered but an exit. With a `drift` above
    zero a position is looked at again at every close and resized when it is further than this share of its
    size from it; at zero only a changed target is traded.
    """

    mode: int = SIZE_BY_WEIGHT
    amount: float = 1.0
    drift: float = 0.0


class Grid(NamedTuple):
    """The venue's grid for one instrument as floats, for compiled code; `Instrument` has the exact one."""

    tick_size: float
    step_size: float
    min_qty: float
    min_notional: float
    spot: bool = True


def grid_of(instrument: Instrument) -> Grid:
    """The instrument's grid as floats."""
    return Grid(
        tick_size=float(instrument.tick_size),
        step_size=float(instrument.step_size),
        min_qty=float(instrument.min_qty),
        min_notional=float(instrument.min_notional),
        spot=instrument.market is Market.SPOT,
    )


class LargestOrder(NamedTuple):
    """The largest order the limits admit: `value` in quote currency at its limit, `qty` in base units."""

    value: float
    qty: float


UNBOUNDED = LargestOrder(float("inf"), float("inf"))


class Account(NamedTuple):
    """What a strategy's step may know of its own book at the close of the bar it is given."""

    qty: float
    entry_price: float
    equity: float


def new_sub_book(cash: float) -> Any:
    """A flat book holding `cash` quote currency; returns a shape (1,) structured array."""
    book = np.zeros(1, SUB_BOOK)
    book["cash"] = cash
    return book


@compiled
def equity(book: Any, price: float) -> float:
    """Cash plus the position marked at `price`, in quote currency."""
    return float(book.cash + book.qty * price)


@compiled
def limit_price_ticks(side: int, close: float, tick_size: float, band: float) -> float:
    """Limit of the protective IOC order: `band` beyond the close, rounded towards the close."""
    ticks = close * (1.0 + side * band) / tick_size
    return float(np.floor(ticks + 1e-9) if side > 0 else np.ceil(ticks - 1e-9))


@compiled
def order_lots(
    book: Any, close: float, sizing: Sizing, grid: Grid, band: float, largest: LargestOrder
) -> float:
    """Signed whole lots to trade now to move from the achieved to the desired target; 0.0 for none.

    The book's own equity is what a weight is a share of, and its own cash is what a buy may spend; see
    `lots_towards` for the rest.
    """
    if book.desired == book.achieved:
        return 0.0
    wanted = wanted_qty(book, close, equity(book, close), sizing, grid)
    return lots_towards(book, wanted, book.cash, close, grid, band, largest, sizing.drift)


@compiled
def wanted_qty(book: Any, close: float, worth: float, sizing: Sizing, grid: Grid) -> float:
    """The position in base units that the desired target means, when its weight is a share of `worth`."""
    if book.desired == 0.0:
        return 0.0
    if sizing.mode == SIZE_BY_UNITS:
        wanted = book.desired * sizing.amount
    else:
        wanted = book.desired * sizing.amount * worth / close
    if grid.spot and wanted < 0.0:
        wanted = 0.0
    return float(wanted)


@compiled
def lots_towards(
    book: Any,
    wanted: float,
    spendable: float,
    close: float,
    grid: Grid,
    band: float,
    largest: LargestOrder,
    drift: float,
) -> float:
    """Signed whole lots from the present position to `wanted` base units; 0.0 for none.

    Quantities round towards zero. A spot book never sells what it does not hold and never buys more than
    `spendable` covers at the protective limit price. Below the venue's minimum quantity or notional the
    answer is 0.0 and the target counts as achieved, because the venue would refuse the order. What leads out
    of the position is cut to the `largest` order, unless the venue would refuse so small a part.
    """
    if book.refused == book.desired:
        if wanted * book.qty < 0.0:
            wanted = 0.0
        elif abs(wanted) > abs(book.qty):
            return 0.0
    if wanted != wanted:
        return 0.0
    watched = drift > 0.0 and wanted != 0.0
    if watched and abs(wanted - book.qty) <= drift * abs(wanted):
        book.achieved = np.nan
        return 0.0
    lots = np.trunc((wanted - book.qty) / grid.step_size + np.copysign(1e-9, wanted - book.qty))
    side = 1 if lots > 0 else -1
    limit = limit_price_ticks(side, close, grid.tick_size, band) * grid.tick_size
    if grid.spot and lots > 0.0:
        lots = min(lots, np.floor(spendable / (limit * grid.step_size) + 1e-9))
    if grid.spot and lots < 0.0:
        lots = max(lots, -np.floor(book.qty / grid.step_size + 1e-9))
    qty = abs(lots) * grid.step_size
    if lots == 0.0 or qty < grid.min_qty * (1 - 1e-12) or qty * limit < grid.min_notional:
        book.achieved = np.nan if watched else book.desired
        return 0.0
    part = leaving_lots(book.qty, lots, limit, grid, largest)
    qty = abs(part) * grid.step_size
    cut = part != lots and qty >= grid.min_qty * (1 - 1e-12) and qty * limit >= grid.min_notional
    book.part = 1 if cut or watched else 0
    book.orders += 1
    return float(part if cut else lots)


@compiled
def leaving_lots(held: float, lots: float, limit: float, grid: Grid, largest: LargestOrder) -> float:
    """Signed `lots` cut to the `largest` order where they lead out of a position of `held` base units.

    Cut that way, an order that would pass through zero ends there. One that opens or enlarges a position is
    left whole: the gate refuses it.
    """
    closing = np.floor(abs(held) / grid.step_size + 1e-9)
    if lots * held >= 0.0 or closing == 0.0:
        return lots
    # The slack takes back the rounding of three float operations and is far below one tick times one lot.
    of_value = np.floor(largest.value / (limit * grid.step_size) * (1.0 + 1e-15))
    most = min(of_value, np.floor(largest.qty / grid.step_size * (1.0 + 1e-15)))
    if not abs(lots) > most:  # also where a limit is missing (NaN): the gate says so
        return lots
    return float(np.copysign(min(most, closing), lots))


@compiled
def on_fill(book: Any, lots: float, price: float, maker: bool, costs: CostModel, grid: Grid) -> float:
    """Book a fill of signed `lots` at `price`, commission by `costs`; returns the fee in quote currency."""
    side = 1 if lots > 0.0 else -1
    fee_base, fee_quote = commission(side, abs(lots) * grid.step_size, price, maker, costs)
    return on_reported_fill(book, lots, price, fee_base, fee_quote, grid)


@compiled
def on_reported_fill(
    book: Any, lots: float, price: float, fee_base: float, fee_quote: float, grid: Grid
) -> float:
    """Book a fill whose commission is known, as the venue reports it; returns the fee in quote currency."""
    qty = lots * grid.step_size
    notional = abs(qty) * price
    fee = fee_base * price + fee_quote
    before = book.qty
    book.cash -= qty * price
    book.cash -= fee_quote
    book.qty = np.rint((before + qty - fee_base) * 1e8) / 1e8
    if before * qty >= 0.0:
        held = abs(before) + abs(qty)
        book.entry_price = (abs(before) * book.entry_price + notional) / held if held > 0.0 else 0.0
    else:
        closed = min(abs(before), abs(qty))
        book.realised += closed * (price - book.entry_price) * (1.0 if before > 0.0 else -1.0)
        if abs(qty) > abs(before):
            book.entry_price = price
    if abs(book.qty) < grid.step_size * (1 - 1e-9) and lots < 0.0 and grid.spot:
        book.entry_price = 0.0
    book.fees += fee
    book.traded_notional += notional
    book.fills += 1
    return fee


@compiled
def set_desired(book: Any, target: float) -> None:
    """Record a step's answer; NaN means no change."""
    if not np.isnan(target):
        book.desired = target


@compiled
def on_complete(book: Any) -> None:
    """The order is filled in full: the target is met, or the next close looks at what is left of the way.

    Between two targets no earlier one counts as achieved.
    """
    if book.part != 0:
        book.achieved = np.nan
        return
    book.achieved = book.desired
    book.refused = np.nan


@compiled
def on_exit(book: Any) -> None:
    """A protective exit has closed the position: it stays closed until the target changes."""
    if np.isnan(book.achieved):
        book.achieved = book.desired


@compiled
def on_refused(book: Any, lots: float, grid: Grid, halted: bool) -> None:
    """The order of signed `lots` was refused.

    An order that opens or enlarges is not repeated until the target changes. One that would have passed
    through zero is tried again at the next close as the half that closes. One that only shrinks the position
    is tried again as it is, unless trading is `halted`: a halt stands until a person lifts it.
    """
    if lots * book.qty < 0.0:
        if abs(lots) * grid.step_size > abs(book.qty) * (1.0 + 1e-9):
            book.refused = book.desired
            return
        if not halted:
            return
    elif book.part != 0:  # a position that is resized may still have to shrink
        book.refused = book.desired
        book.achieved = np.nan
        return
    book.achieved = book.desired
    book.refused = np.nan
