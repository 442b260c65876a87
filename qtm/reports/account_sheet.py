"""The tear sheet of a run on an account: the whole, and what each strategy and each asset did to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from qtm.backtest.account.result import AccountResult
from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.clock import iso_utc
from qtm.reports.backtest_context import benchmark_table, crisis_table
from qtm.reports.backtest_figures import (
    equity_figure,
    share_ticks,
    thinned,
)
from qtm.reports.blocks import (
    ACCENT,
    SERIES,
    Block,
    Card,
    Cell,
    Document,
    Section,
    columns,
    figure,
    numbers,
    table,
    times,
    tone_of,
)
from qtm.reports.costs_section import costs_section
from qtm.reports.formats import MISSING, money, percent
from qtm.reports.key_figures import key_figures, standstill_in_words
from qtm.reports.made_from import account_lineage_section, lake_version
from qtm.reports.performance_sections import exposure_note, performance_sections
from qtm.reports.price_chart import prices_section
from qtm.reports.trade_list import Traded, trades_section
from qtm.reports.verdict_section import verdict_section

LISTED_NOTES = 100


def account_sheet_document(
    result: AccountResult, verdict: Verdict | None = None, others: Sequence[Verdict] = ()
) -> Document:
    """The tear sheet before it becomes a page or a PDF; `verdict` and `others` as in `verdict_section`."""
    made_from, figures = result.lineage, result.statistics
    several = len(made_from.strategies) > 1
    sections = [
        Section("Summary", [_key_figures(result)], _in_words(result)),
        *([] if several else [verdict_section(verdict, others)]),
        Section(
            "Equity and drawdown",
            [equity_figure(result)],
            "Marked at every close, against holding equal parts of every symbol from its first bar on.",
        ),
        *(
            [Section("Strategies", [_sleeves_figure(result), _parts(result.by_strategy, "strategy")])]
            if several
            else []
        ),
        Section(
            "Assets",
            [_contribution_figure(result), _parts(result.by_asset, "symbol")],
            "Profit after all costs; exposure is the average position over the account's equity.",
        ),
        *performance_sections(result),
        Section(
            "Market and crises",
            [columns(benchmark_table(result), crisis_table(result))],
            "An event is shown when the run covers it whole; inside it, every coin is marked at its own "
            "worst price of every bar.",
        ),
        prices_section(result),
        Section("Exposure", [_exposure_figure(result)], exposure_note(result.statistics)),
        costs_section(result),
        *([Section("On record", [_notes(result)])] if result.notes else []),
        trades_section(
            _traded(result), result.open_time_ms, ("Symbol", "Strategy") if several else ("Symbol",)
        ),
        account_lineage_section(result),
    ]
    return Document(
        f"{made_from.strategy} on {_symbols(made_from.symbols)}, {made_from.interval}",
        f"{iso_utc(made_from.first_ms)[:10]} to {iso_utc(made_from.last_ms)[:10]} · "
        f"{len(made_from.symbols)} symbols of {made_from.market}{_params(result)}",
        sections,
        footer="Returns are net of fees, slippage and funding. Ratios use daily returns over "
        f"{DAYS_PER_YEAR:.0f} days; {figures.days:,.1f} days measured. All times UTC.",
        lineage=f"{made_from.strategy} {made_from.strategy_version} · bars {lake_version(made_from)}",
    )


def _symbols(names: tuple[str, ...]) -> str:
    """A few by name, many by their number."""
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} symbols"


def _params(result: AccountResult) -> str:
    """The parameters of the only strategy; several have theirs among what the run was made from."""
    lines = result.lineage.strategies
    chosen = ", ".join(f"{name} {value:g}" for name, value in lines[0].params.items())
    return f" · {chosen}" if len(lines) == 1 and chosen else ""


def _in_words(result: AccountResult) -> str:
    figures, market = result.statistics, result.bars
    held = float(market.close[-1] / market.open[0] - 1.0)
    words = (
        f"Turned {money(result.cash)} into {money(figures.final_equity)} {result.quote}, "
        f"{'more' if figures.total_return > held else 'less'} than holding every symbol in equal parts "
        f"({percent(held, signed=True)})."
    )
    liquidated = int((result.orders["cause"] == "liquidation").sum())
    if liquidated:
        words += f" {liquidated:,} positions were liquidated."
    refused = int((result.orders["status"] == "REFUSED").sum())
    if refused:
        words += f" The risk gate refused {refused:,} of {figures.orders:,} orders."
    words += "".join(f" {note}." for note in result.limit_notes)
    words += standstill_in_words(result.standstill)
    lost = float(result.by_leg["delisting"].sum())
    if lost > 0.0:
        words += f" Delistings took {money(lost)}."
    return words


def _key_figures(result: AccountResult) -> Block:
    s = result.statistics
    gross = float(np.mean(result.gross / np.maximum(result.equity, 1e-9)))
    exposure = Card(
        "Gross exposure", percent(gross, 1), f"in the market {percent(s.exposure, 1)} of the bars"
    )
    return key_figures(s, result.cash, exposure, funded=result.lineage.funded, standstill=result.standstill)


def _parts(parts: pl.DataFrame, by: str) -> Block:
    """One row per asset or strategy."""
    rows = [
        (
            str(row[by]),
            Cell(money(row["profit"], 2, signed=True), tone_of(row["profit"])),
            Cell(percent(row["contribution"], signed=True), tone_of(row["profit"])),
            percent(row["exposure"], 1),
            f"{row['turnover']:,.1f}×",
            money(row["fees"], 2),
            money(-row["funding"], 2, signed=True) if row["funding"] else MISSING,
            money(-row["delisting"], 2) if row["delisting"] else MISSING,
            f"{row['round_trips']:,}",
        )
        for row in parts.iter_rows(named=True)
    ]
    headers = (
        by.capitalize(), "Profit", "Contribution", "Exposure", "Turnover", "Fees", "Funding", "Delisting",
        "Round trips",
    )  # fmt: skip
    return table(headers, rows, tall=len(rows) > 20)


def _contribution_figure(result: AccountResult) -> Block:
    shown = result.by_asset
    return figure(
        [
            {
                "type": "bar",
                "x": shown["symbol"].to_list(),
                "y": numbers(shown["contribution"].to_numpy()),
                "name": "Contribution",
                "marker": {"color": [SERIES[2] if value > 0 else SERIES[4] for value in shown["profit"]]},
                "showlegend": False,
                "hovertemplate": "%{y:.2%}",
            }
        ],
        {
            "yaxis": {"title": {"text": "Profit / capital"}, "tickformat": ".1%"},
            "xaxis": {"type": "category"},
        },
        height=280,
    )


def _sleeves_figure(result: AccountResult) -> Block:
    """Each strategy's equity over what it began with."""
    closed = result.bars.open_time_ms + result.bars.interval.ms
    lines = []
    for k, line in enumerate(result.lineage.strategies):
        worth = result.sleeves[:, k] / (line.share * result.cash)
        kept = thinned(worth)
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": line.name,
                "x": times(closed[kept]),
                "y": numbers(worth[kept] - 1.0),
                "line": {"color": SERIES[k % len(SERIES)], "width": 1.4},
                "hovertemplate": "%{y:.2%}",
            }
        )
    return figure(
        lines,
        {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": "Return"}, "tickformat": ".0%"}},
        height=300,
    )


def _exposure_figure(result: AccountResult) -> Block:
    """Sum of absolute positions over equity at each close."""
    share = result.gross / np.maximum(result.equity, 1e-9)
    kept = thinned(share)
    closed = result.bars.open_time_ms + result.bars.interval.ms
    return figure(
        [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Gross exposure",
                "x": times(closed[kept]),
                "y": numbers(share[kept]),
                "line": {"color": ACCENT, "width": 1.1},
                "hovertemplate": "%{y:.1%}",
            }
        ],
        {
            "xaxis": {"type": "date"},
            "yaxis": {"title": {"text": "Positions / equity"}, "tickformat": share_ticks(share)},
        },
        height=260,
    )


def _notes(result: AccountResult) -> Block:
    rows = [(iso_utc(at)[:16].replace("T", " "), name, words) for at, name, words in result.notes]
    return table(("Time", "Strategy", "Note"), rows[-LISTED_NOTES:], text_columns=3, tall=True)


def _traded(result: AccountResult) -> list[Traded]:
    """The round trips of every leg, with its symbol and its strategy."""
    found = []
    for leg, trades in zip(result.legs, result.trades_by_leg, strict=True):
        n, line = int(leg["instrument"]), result.lineage.strategies[int(leg["strategy"])]
        owner = (line.name,) if len(result.lineage.strategies) > 1 else ()
        found.append(Traded(result.panel.instruments[n], trades, (result.panel.names[n], *owner)))
    return found
