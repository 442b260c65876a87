"""What fills were worth after they happened: mark-outs, edge and inventory, as a market maker reads them.

A mark-out is the market's price some seconds after a fill against the fill's own, in the fill's favour: what
is left of the spread once those who knew more have traded. Prices are the last trades of the tape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.backtest.tape.events import BUY_TRADE, SELL_TRADE
from qtm.backtest.tape.result import OrdersResult

Floats = npt.NDArray[np.float64]

HORIZONS_S = (1.0, 10.0, 60.0)
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MarkOut:
    """The mark-outs of some fills at one horizon.

    Attributes
    ----------
    seconds
        The horizon.
    fills
        How many fills the tape still covers at it.
    mean_bps, error_bps
        Mean weighted by value, in basis points of the fill's price, and its standard error.
    adverse
        Share of the value that had moved against the account.
    """

    seconds: float
    fills: int
    mean_bps: float
    error_bps: float
    adverse: float


@dataclass(frozen=True, slots=True)
class Inventory:
    """The position between fills, in base units, weighted by time over the whole tape.

    `turnover_s` is how long the average position takes to be traded once over, NaN without trades.
    """

    mean: float
    mean_size: float
    longest: float
    shortest: float
    flat: float
    turnover_s: float


def mark_outs(
    result: OrdersResult, *, maker: bool, horizons_s: tuple[float, ...] = HORIZONS_S
) -> tuple[MarkOut, ...]:
    """The mark-outs of the maker (or taker) fills; none on bars, which know no seconds, or without a fill."""
    chosen = result.fill_rows[result.fill_rows["maker"] == int(maker)]
    if result.tape.of_bars or len(chosen) == 0:
        return ()
    times, ticks = prints(result)
    found = []
    for seconds in horizons_s:
        until = chosen["ts_ns"] + round(seconds * _NS)
        covered = until <= times[-1]
        if not covered.any():
            continue
        fills, at = chosen[covered], np.searchsorted(times, until[covered], side="right") - 1
        gain = 1e4 * fills["side"] * (ticks[at] - fills["ticks"]) / fills["ticks"]
        found.append(_weighed(seconds, gain, (fills["lots"] * fills["ticks"]).astype(np.float64)))
    return tuple(found)


def edge_at_the_fill(result: OrdersResult) -> float:
    """Quote currency that fills were better than the last trade before them; NaN on bars.

    The print that fills a resting order is not before it; one at the instant a taker arrives is. What else
    was earned before fees and funding came from holding.
    """
    if result.tape.of_bars:
        return float("nan")
    times, ticks = prints(result)
    fills = result.fill_rows
    maker = fills["maker"] == 1
    before = np.searchsorted(times, np.where(maker, fills["ts_ns"], fills["ts_ns"] + 1)) - 1
    known = before >= 0
    apart = fills["side"] * (ticks[np.maximum(before, 0)] - fills["ticks"]) * fills["lots"]
    value = float(result.instrument.tick_size) * float(result.instrument.step_size)
    return float(apart[known].sum()) * value


def inventory_of(result: OrdersResult) -> Inventory:
    """The position the account carried."""
    times, qty = inventory_path(result)
    spans = np.diff(np.append(times, result.tape.end_ns)).astype(np.float64)
    share = spans / spans.sum()
    size = float(np.abs(qty) @ share)
    traded = float(result.fills["qty"].sum())
    turnover = size * float(spans.sum()) / _NS / traded if traded > 0.0 else float("nan")
    return Inventory(
        float(qty @ share), size, max(0.0, float(qty.max())), min(0.0, float(qty.min())),
        float(share[qty == 0.0].sum()), turnover,
    )  # fmt: skip


def inventory_path(result: OrdersResult) -> tuple[npt.NDArray[np.int64], Floats]:
    """When the position changed (ns, the tape's start first) and what it was from then on, in base units."""
    fills = result.fills
    times = np.concatenate(([result.tape.start_ns], fills["ts_ns"].to_numpy()))
    return times, np.concatenate(([result.start[0]], fills["qty_after"].to_numpy()))


def prints(result: OrdersResult) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Times (ns) and prices in ticks of the tape's trades."""
    events = result.tape.events
    trades = events[(events["kind"] == BUY_TRADE) | (events["kind"] == SELL_TRADE)]
    return trades["ts_ns"], trades["ticks"]


def _weighed(seconds: float, gain: Floats, weight: Floats) -> MarkOut:
    mean = float(np.average(gain, weights=weight))
    share = weight / weight.sum()
    error = float(np.sqrt(np.sum(share**2 * (gain - mean) ** 2)))
    return MarkOut(seconds, len(gain), mean, error, float(share[gain < 0.0].sum()))
