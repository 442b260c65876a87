"""What orders became and what they cost: gross to net, and what was paid over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.account.result import AccountResult
from qtm.backtest.engine import BacktestResult
from qtm.backtest.intrabar import CAUSES, ENTRY
from qtm.reports.backtest_figures import filled, thinned
from qtm.reports.blocks import (
    BAD,
    NEUTRAL,
    Block,
    Cell,
    Section,
    columns,
    figure,
    numbers,
    paragraph,
    table,
    times,
    tone_of,
)
from qtm.reports.formats import money
from qtm.risk.rules import CONTROL_NAMES

Floats = npt.NDArray[np.float64]


def costs_section(result: BacktestResult | AccountResult) -> Section:
    """Of bars: of one symbol or of an account."""
    return Section(
        "Costs and orders",
        [columns(_costs_table(result), _orders_table(result.orders)), _costs_figure(result)],
        "Slippage is measured on orders filled at an open, against that open.",
    )


def slippage_paid(result: BacktestResult | AccountResult) -> Floats:
    """What each fill at the market cost beyond its reference price, in quote currency.

    The reference is the open of the bar for orders that wait for it; exits inside a bar have none.
    """
    fills = filled(result)
    at = np.clip(fills["bar"] + 1, 0, len(result.open_time_ms) - 1)
    if isinstance(result, AccountResult):
        instrument = result.legs["instrument"][fills["leg"]]
        opens, steps = result.panel.open[at, instrument], result.sizes[instrument]
    else:
        opens, steps = result.bars.open[at], float(result.instrument.step_size)
    paid = np.abs(fills["fill_price"] - opens) * np.abs(fills["filled_lots"]) * steps
    return np.asarray(np.where((fills["cause"] == ENTRY) & np.isfinite(opens), paid, 0.0))


def _costs_table(result: BacktestResult | AccountResult) -> Block:
    """From gross to net."""
    s = result.statistics
    lost: dict[str, float] = {"Fees": s.fees, "Slippage": float(slippage_paid(result).sum())}
    lost |= {"Funding": s.funding} if result.lineage.funded else {}
    if isinstance(result, AccountResult):
        quote, traded = result.quote, float(result.legs["traded_notional"].sum())
        others = {
            "Delistings": float(result.legs["delisting_cost"].sum()),
            "Debt the venue's insurance fund bore": -result.insured,
        }
        lost |= {name: value for name, value in others.items() if value}
    else:
        quote, traded = result.instrument.quote, float(result.book["traded_notional"][0])
    net = s.final_equity - result.cash
    gross = net + sum(lost.values())
    rows: list[tuple[str, str | Cell]] = [
        ("Before costs", Cell(money(gross, 2, signed=True), tone_of(gross))),
        *((name, money(-value, 2)) for name, value in lost.items()),
        *([] if result.lineage.funded else [("Funding", "not charged")]),
        ("Net", Cell(money(net, 2, signed=True), tone_of(net))),
        ("Traded value", money(traded, 0)),
    ]
    return table(("", quote), rows, caption="From gross to net")


def _orders_table(orders: pl.DataFrame) -> Block:
    counted = {
        (status, cause): number
        for status, cause, number in orders.group_by("status", "cause").len().iter_rows()
    }

    def ended(status: str) -> int:
        return sum(number for (name, _), number in counted.items() if name == status)

    entry = CAUSES[ENTRY]
    causes = sorted({cause for _, cause in counted} - {entry})
    closed = {cause: sum(n for (_, name), n in counted.items() if name == cause) for cause in causes}
    rows = [
        ("Filled at the next open", f"{counted.get(('FILLED', entry), 0):,}"),
        ("Filled in part, the rest expired", f"{counted.get(('PARTIAL', entry), 0):,}"),
        *((f"Closed by {cause}", f"{number:,}") for cause, number in closed.items()),
        ("Expired beyond the protective limit", f"{ended('EXPIRED'):,}"),
        ("Refused by the risk gate", f"{ended('REFUSED'):,}"),
        *_refusals(orders),
    ]
    for status, words in (
        ("REJECTED", "Rejected for want of margin"),
        ("UNFUNDED", "Dropped for want of cash"),
    ):
        if number := ended(status):
            rows.append((words, f"{number:,}"))
    return table(("Order", "Count"), rows, caption="What became of the orders")


def _refusals(orders: pl.DataFrame) -> list[tuple[str, str]]:
    refused = orders.filter(orders["status"] == "REFUSED")
    rows = []
    for control, number in refused["control"].value_counts(sort=True).iter_rows():
        named = ", ".join(f"{one} {CONTROL_NAMES.get(one, '')}".strip() for one in str(control).split(","))
        rows.append((f"\N{EM SPACE}by {named}", f"{number:,}"))
    return rows


def _costs_figure(result: BacktestResult | AccountResult) -> Block:
    """Fees and slippage of the fills so far, in quote currency."""
    fills = filled(result)
    if fills.size == 0:
        return paragraph("Nothing was filled, nothing was paid.", "muted")
    opened, step_ms = result.open_time_ms, result.bars.interval.ms
    moments = np.concatenate((opened[:1], fills["decided_ms"], opened[-1:] + step_ms))
    lines: list[dict[str, Any]] = []
    for name, paid, colour in (
        ("Fees", np.cumsum(fills["fee"]), BAD),
        ("Slippage and impact", np.cumsum(slippage_paid(result)), NEUTRAL),
    ):
        paid = np.concatenate(([0.0], paid, paid[-1:]))
        kept = thinned(paid)
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "line": {"color": colour, "width": 1.4},
                "x": times(moments[kept]),
                "y": numbers(paid[kept]),
                "hovertemplate": "%{y:,.2f}",
            }
        )
    layout = {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": f"Paid, {result.instrument.quote}"}}}
    return figure(lines, layout, height=260)
