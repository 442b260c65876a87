"""The market maker's part of an order strategy's tear sheet: mark-outs, edge against holding, inventory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qtm.backtest.tape.making import (
    MarkOut,
    edge_at_the_fill,
    inventory_of,
    inventory_path,
    mark_outs,
)
from qtm.backtest.tape.result import OrdersResult
from qtm.reports.backtest_figures import thinned
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    Block,
    Cell,
    Section,
    columns,
    figure,
    numbers,
    table,
    times,
    tone_of,
)
from qtm.reports.formats import duration, money, percent, ratio

_CURVE_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0)


def making_section(result: OrdersResult) -> Section:
    """Whether those who traded against the quotes knew more, and what was held meanwhile."""
    maker, taker = (mark_outs(result, maker=one) for one in (True, False))
    blocks: list[Block] = [columns(_mark_out_table(maker, taker), _earned_table(result))] if maker else []
    blocks += [columns(_mark_out_figure(result), _inventory_table(result))] if maker else []
    if not maker:
        blocks.append(_inventory_table(result))
    blocks.append(_inventory_figure(result))
    return Section("Making the market", blocks, _note(result, maker))


def _note(result: OrdersResult, maker: tuple[MarkOut, ...]) -> str:
    if result.tape.of_bars:
        return "Bars know no seconds: mark-outs need a run on trades."
    if not maker:
        return "No resting order was filled long enough before the end to be marked out."
    last = maker[-1]
    against = "for" if last.mean_bps > 0.0 else "against"
    sure = abs(last.mean_bps) > 2.0 * last.error_bps
    doubt = "" if sure else ", which chance explains as well"
    return (
        f"{last.seconds:g} seconds after a maker fill the market stood {abs(last.mean_bps):.2f} bp {against} "
        f"it{doubt}. Before fees; a mark-out below zero is adverse selection."
    )


def _mark_out_table(maker: tuple[MarkOut, ...], taker: tuple[MarkOut, ...]) -> Block:
    rows: list[tuple[str | Cell, ...]] = []
    for name, found in (("Maker", maker), ("Taker", taker)):
        rows += [
            (
                f"{name}, {one.seconds:g} s later",
                Cell(money(one.mean_bps, 2, signed=True), tone_of(one.mean_bps)),
                f"± {one.error_bps:.2f}",
                percent(one.adverse, 0),
                f"{one.fills:,}",
            )
            for one in found
        ]
    headers = ("", "Basis points", "Standard error", "Value moved against", "Fills")
    return table(headers, rows, caption="Mark-outs")


def _earned_table(result: OrdersResult) -> Block:
    """Net split into what fills were better than the last trade, and what the position then earned."""
    s = result.statistics
    net = s.final_equity - result.cash
    edge = edge_at_the_fill(result)
    held = net + s.fees + s.funding - edge
    rows: list[tuple[str, str | Cell]] = [
        ("Better than the last trade at the fill", Cell(money(edge, 2, signed=True), tone_of(edge))),
        ("Earned by holding", Cell(money(held, 2, signed=True), tone_of(held))),
        ("Fees", money(-s.fees, 2)),
        ("Funding", money(-s.funding, 2) if result.lineage.funded else "not charged"),
        ("Net", Cell(money(net, 2, signed=True), tone_of(net))),
    ]
    return table(("", result.instrument.quote), rows, caption="Where it came from")


def _inventory_table(result: OrdersResult) -> Block:
    found, base = inventory_of(result), result.instrument.base
    rows = [
        ("Average position", _lots(found.mean, base)),
        ("Average size", _lots(found.mean_size, base)),
        ("Longest", _lots(found.longest, base)),
        ("Shortest", _lots(found.shortest, base)),
        ("Time without a position", percent(found.flat, 1)),
        ("Time to trade the average size", _time(found.turnover_s)),
        ("Fills an hour", ratio(len(result.fills) / _hours(result))),
    ]
    return table(("", ""), rows, caption="Inventory, weighted by time")


def _inventory_figure(result: OrdersResult) -> Block:
    """The position after each fill to the end of the run, in base units."""
    when, qty = inventory_path(result)
    when, qty = np.append(when, result.tape.end_ns), np.append(qty, qty[-1:])
    kept = thinned(qty)
    line = {
        "type": "scatter", "mode": "lines", "name": "Position",
        "line": {"color": ACCENT, "width": 1.0, "shape": "hv"}, "x": times(when[kept] // 1_000_000),
        "y": numbers(qty[kept]), "hovertemplate": "%{y:,.4g}",
    }  # fmt: skip
    title = f"Position, {result.instrument.base}"
    return figure([line], {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": title}}}, height=260)


def _mark_out_figure(result: OrdersResult) -> Block:
    """Mean mark-out of makers and takers against the time since the fill."""
    lines: list[dict[str, Any]] = []
    for name, is_maker, colour in (("Maker fills", True, ACCENT), ("Taker fills", False, BAD)):
        found = mark_outs(result, maker=is_maker, horizons_s=_CURVE_S)
        if found:
            lines.append(
                {
                    "type": "scatter", "mode": "lines+markers", "name": name, "line": {"color": colour},
                    "x": [f"{one.seconds:g}" for one in found], "y": numbers([one.mean_bps for one in found]),
                    "hovertemplate": "%{y:.2f} bp",
                }
            )  # fmt: skip
    layout = {
        "xaxis": {"type": "category", "title": {"text": "Seconds after the fill"}},
        "yaxis": {"title": {"text": "Mark-out, basis points"}},
    }
    return figure(lines, layout, height=300)


def _lots(qty: float, base: str) -> str:
    return f"{qty:,.4g} {base}".replace("-", "−")


def _hours(result: OrdersResult) -> float:
    return (result.tape.end_ns - result.tape.start_ns) / 3.6e12


def _time(seconds: float) -> str:
    return "none" if math.isnan(seconds) else duration(seconds)
