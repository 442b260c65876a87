"""An order strategy's own part of the tear sheet: makers and takers, how orders ended, the venue's terms."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qtm.backtest.tape.events import FULL_DEPTH, NO_DEPTH
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import PROPORTIONAL, Latency, Queue
from qtm.reports.backtest_figures import thinned
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    Block,
    Cell,
    figure,
    numbers,
    paragraph,
    table,
    times,
    tone_of,
)
from qtm.reports.formats import duration, money, percent, ratio
from qtm.risk.rules import CONTROL_NAMES


def orders_costs_table(result: OrdersResult) -> Block:
    """Gross to net, with what makers and takers paid apart; slippage is in the takers' prices."""
    fills, s = result.fills, result.statistics
    maker = fills["maker"].to_numpy()
    fees = fills["fee"].to_numpy()
    value = (fills["qty"] * fills["price"]).to_numpy()
    net = s.final_equity - result.cash
    gross = net + s.fees + s.funding
    traded = float(value.sum())
    rows: list[tuple[str, str | Cell]] = [
        ("Before fees and funding", Cell(money(gross, 2, signed=True), tone_of(gross))),
        ("Fees as maker", money(-float(fees[maker].sum()), 2)),
        ("Fees as taker", money(-float(fees[~maker].sum()), 2)),
        ("Funding", money(-s.funding, 2) if result.lineage.funded else "not charged"),
        ("Net", Cell(money(net, 2, signed=True), tone_of(net))),
        ("Traded value", money(traded, 0)),
        ("Of it as maker", percent(float(value[maker].sum()) / traded, 1) if traded else "none"),
    ]
    return table(("", result.instrument.quote), rows, caption="From gross to net")


def orders_costs_figure(result: OrdersResult) -> Block:
    """Fees paid so far, as maker and as taker, in quote currency."""
    fills = result.fills
    if fills.is_empty():
        return paragraph("Nothing was filled, nothing was paid.", "muted")
    maker, fees = fills["maker"].to_numpy(), fills["fee"].to_numpy()
    span = (result.tape.start_ns, *fills["ts_ns"].to_list(), result.tape.end_ns)
    moments = np.array(span) // 1_000_000
    lines = []
    for name, chosen, colour in (("Maker fees", maker, ACCENT), ("Taker fees", ~maker, BAD)):
        paid = np.cumsum(np.where(chosen, fees, 0.0))
        paid = np.concatenate(([0.0], paid, paid[-1:]))
        kept = thinned(paid)
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "line": {"color": colour, "width": 1.4, "shape": "hv"},
                "x": times(moments[kept]),
                "y": numbers(paid[kept]),
                "hovertemplate": "%{y:,.2f}",
            }
        )
    layout = {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": f"Paid, {result.instrument.quote}"}}}
    return figure(lines, layout, height=260)


def orders_ends_table(result: OrdersResult) -> Block:
    """How the orders ended, by the venue's or the gate's reason."""
    orders = result.orders
    unfilled = orders.filter(orders["status"] != "FILLED")
    ended = orders.group_by("status", "reason").len().sort("len", "status", descending=[True, False])
    rows = [("Filled whole", f"{len(orders) - len(unfilled):,}")]
    in_part = int((unfilled["filled_qty"] > 0.0).sum())
    for status, reason, number in ended.filter(ended["status"] != "FILLED").iter_rows():
        rows.append((_ending(status, reason), f"{number:,}"))
        if status == "REFUSED":
            rows += _refusals(result)
    if in_part:
        rows.append(("Of these, filled in part", f"{in_part:,}"))
    rows += [("Still working at the end", f"{result.working:,}"), ("Requests sent", f"{result.requests:,}")]
    return table(("Order", "Count"), rows, caption="What became of the orders")


def _ending(status: str, reason: str) -> str:
    """How an order ended: the reason alone says that it was cancelled."""
    return reason.capitalize() if status == "CANCELED" and reason else f"{status.capitalize()}: {reason}"


def _refusals(result: OrdersResult) -> list[tuple[str, str]]:
    """What the gate refused, by control."""
    refused = result.orders.filter(result.orders["status"] == "REFUSED")
    rows = []
    for control, number in refused["control"].value_counts(sort=True).iter_rows():
        named = ", ".join(f"{one} {CONTROL_NAMES.get(one, '')}".strip() for one in str(control).split(","))
        rows.append((f"\N{EM SPACE}by {named}", f"{number:,}"))
    return rows


def fill_quality_table(result: OrdersResult) -> Block:
    """How long filled orders stood, and how much of what was asked traded.

    On bars a fill is as late as its bar, so what was filled within a bar has no measurable life.
    """
    orders = result.orders
    done = orders.filter(orders["status"] == "FILLED")
    waited = ((done["end_ns"] - done["live_ns"]) / 1e9).to_numpy()
    asked, traded = float(orders["qty"].sum()), float(result.fills["qty"].sum())
    rows = [
        ("Share of orders filled whole", percent(len(done) / len(orders), 1) if len(orders) else "none"),
        ("Share of quantity traded", percent(traded / asked, 1) if asked else "none"),
        ("Median life of a filled order", _life(waited, of_bars=result.tape.of_bars)),
        (
            "Requests for each fill",
            ratio(result.requests / len(result.fills)) if len(result.fills) else "none",
        ),
    ]
    rows += _queues_joined(result)
    return table(("", ""), rows, caption="Quality of the fills")


def _queues_joined(result: OrdersResult) -> list[tuple[str, str]]:
    """What stood ahead of orders when they came to rest, of those that traded and of the others."""
    rested = result.orders.filter(result.orders["lots_ahead"].is_not_null())
    traded = rested["filled_qty"] > 0.0
    rows = []
    for which, chosen in (("that traded", rested.filter(traded)), ("that did not", rested.filter(~traded))):
        if len(chosen):
            ahead = float(np.median(chosen["lots_ahead"].to_numpy())) * float(result.instrument.step_size)
            rows.append((f"Median queue joined by orders {which}", f"{ahead:,.8g} {result.instrument.base}"))
    return rows


def market_in_words(result: OrdersResult) -> dict[str, str]:
    """How orders met the market, for the list of what the run was made from."""
    tape = result.tape
    if tape.of_bars:
        seen, fills = f"{len(tape.bars):,} bars", "a price beyond the order's, along each bar's worst path"
    elif tape.depth == NO_DEPTH:
        seen, fills = f"{len(tape):,} trades", _without_depth(result.queue)
    else:
        shown = "full depth" if tape.depth == FULL_DEPTH else "best bid and ask"
        seen, fills = f"{len(tape):,} events, {shown}", _with_depth(result.queue)
    return {"Market": seen, "Resting orders": f"filled by {fills}", "Latency": _latency(result.latency)}


def _without_depth(queue: Queue) -> str:
    if math.isinf(queue.assumed):
        return "a trade through their price"
    return f"trades at their price beyond {queue.assumed:g} ahead"


def _with_depth(queue: Queue) -> str:
    if queue.model == PROPORTIONAL:
        return "trades after the queue, which withdrawals shorten in proportion"
    return "trades after the queue, which withdrawals come from the back of"


def _latency(latency: Latency) -> str:
    return f"market data {_spread(latency.feed_ns)}, orders {_spread(latency.order_ns)}"


def _spread(table_ns: tuple[int, ...]) -> str:
    low, high = min(table_ns) / 1e6, max(table_ns) / 1e6
    return f"{low:g} ms" if low == high else f"{low:g} to {high:g} ms"


def _life(waited: npt.NDArray[np.float64], *, of_bars: bool) -> str:
    if waited.size == 0:
        return "none"
    median = float(np.median(waited))
    return "less than a bar" if of_bars and median == 0.0 else duration(median)
