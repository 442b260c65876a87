"""The tear sheet of one backtest: what it earned, how it felt, what it cost, and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.session import REFUSED
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.backtest.tape.result import OrdersResult, SymbolResult
from qtm.clock import iso_utc
from qtm.reports.backtest_context import benchmark_table, crisis_table, exposure_figure
from qtm.reports.backtest_figures import equity_figure
from qtm.reports.blocks import Block, Card, Document, Section, columns
from qtm.reports.costs_section import costs_section
from qtm.reports.formats import money, percent
from qtm.reports.key_figures import key_figures, standstill_in_words
from qtm.reports.made_from import lake_version, lineage_section
from qtm.reports.making_sections import making_section
from qtm.reports.orders_sections import (
    fill_quality_table,
    orders_costs_figure,
    orders_costs_table,
    orders_ends_table,
)
from qtm.reports.page import render_page
from qtm.reports.performance_sections import exposure_note, performance_sections
from qtm.reports.price_chart import price_section
from qtm.reports.trade_list import Traded, trades_section
from qtm.reports.verdict_section import verdict_section


def tear_sheet_page(result: SymbolResult, verdict: Verdict | None = None) -> str:
    """The tear sheet as one self-contained HTML page; `verdict` is that of an examination, if any."""
    return render_page(tear_sheet_document(result, verdict))


def tear_sheet_document(
    result: SymbolResult, verdict: Verdict | None = None, others: Sequence[Verdict] = ()
) -> Document:
    """The tear sheet before it becomes a page or a PDF; `verdict` and `others` as in `verdict_section`."""
    made_from = result.lineage
    figures = result.statistics
    title = f"{made_from.strategy} on {made_from.symbol} {made_from.interval}"
    period = f"{_day(made_from.first_ms)} to {_day(made_from.last_ms)}"
    chosen = ", ".join(f"{name} {value:g}" for name, value in made_from.params.items())
    sections = [
        Section("Summary", [_key_figures(result)], _in_words(result)),
        verdict_section(verdict, others),
        Section(
            "Equity and drawdown",
            [equity_figure(result)],
            "Marked at every close, against buying at the first open and holding.",
        ),
        *performance_sections(result),
        Section(
            "Market and crises",
            [columns(benchmark_table(result), crisis_table(result))],
            "An event is shown when the run covers it whole; inside it, positions are marked at the worst "
            "price of every bar.",
        ),
        price_section(result),
        Section("Exposure", [exposure_figure(result)], exposure_note(result.statistics)),
        _costs_and_orders(result),
        *([making_section(result)] if isinstance(result, OrdersResult) else []),
        trades_section([Traded(result.instrument, result.trades)], _opened_ms(result)),
        lineage_section(result),
    ]
    return Document(
        title,
        f"{period} · {chosen}",
        sections,
        footer="Returns are net of fees and slippage. Ratios use daily returns over "
        f"{DAYS_PER_YEAR:.0f} days; {figures.days:,.1f} days measured. All times UTC.",
        lineage=f"{made_from.strategy} {made_from.strategy_version} · bars {lake_version(made_from)}",
    )


def _day(ts_ms: int) -> str:
    return iso_utc(ts_ms)[:10]


def _in_words(result: SymbolResult) -> str:
    figures = result.statistics
    held = float(result.bars.close[-1] / result.bars.open[0] - 1.0)
    against = "more" if figures.total_return > held else "less"
    words = (
        f"Turned {money(result.cash)} into {money(figures.final_equity)} {result.instrument.quote}, "
        f"{against} than buying and holding ({percent(held, signed=True)})."
    )
    refused = int((result.order_rows["status"] == REFUSED).sum())
    if refused:
        words += f" The risk gate refused {refused:,} of {figures.orders:,} orders."
    words += "".join(f" {note[0].upper()}{note[1:]}." for note in result.limit_notes)
    words += standstill_in_words(result.standstill)
    if math.isfinite(figures.days) and figures.days < 90:
        words += " Fewer than 90 days: ratios say little."
    return words


def _key_figures(result: SymbolResult) -> Block:
    s = result.statistics
    exposure = Card("Exposure", percent(s.exposure, 1), "share of bars in the market")
    return key_figures(s, result.cash, exposure, funded=result.lineage.funded, standstill=result.standstill)


def _opened_ms(result: SymbolResult) -> npt.NDArray[np.int64] | None:
    """Opens of the bars that round trips name; None for a tape of trades."""
    is_of_trades = isinstance(result, OrdersResult) and not result.tape.of_bars
    return None if is_of_trades else result.open_time_ms


def _costs_and_orders(result: SymbolResult) -> Section:
    if not isinstance(result, OrdersResult):
        return costs_section(result)
    return Section(
        "Costs and orders",
        [
            columns(orders_costs_table(result), orders_ends_table(result)),
            fill_quality_table(result),
            orders_costs_figure(result),
        ],
    )
