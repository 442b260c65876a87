"""The tear sheet of a run on an account: the whole, and what each strategy and each asset did to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from qtm.backtest.account.result import AccountLineage, AccountResult, StrategyLine
from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.statistics import DAYS_PER_YEAR, daily_equity
from qtm.clock import iso_utc
from qtm.reports.backtest_figures import ROLLING_DAYS, distribution, equity_figure, rolling_sharpe, thinned
from qtm.reports.blocks import (
    ACCENT,
    SERIES,
    Block,
    Card,
    Cell,
    Document,
    Section,
    Tone,
    cards,
    columns,
    definitions,
    figure,
    numbers,
    paragraph,
    table,
    times,
)
from qtm.reports.formats import money, percent, ratio
from qtm.reports.monthly import monthly_table
from qtm.reports.verdict_section import verdict_section
from qtm.risk.sized_targets import sizing_as_text

LISTED_TRADES = 250
LISTED_NOTES = 100


def account_sheet_document(result: AccountResult, verdict: Verdict | None = None) -> Document:
    """The tear sheet before it becomes a page or a PDF; `verdict` is that of an examination, if any."""
    made_from, figures = result.lineage, result.statistics
    measured: Any = result  # it has what the figures of a run on one symbol ask for
    several = len(made_from.strategies) > 1
    sections = [
        Section("Summary", [_key_figures(result)], _in_words(result)),
        *([verdict_section(verdict)] if verdict else []),
        Section(
            "Equity and drawdown",
            [equity_figure(measured)],
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
        Section("Exposure", [_exposure_figure(result)]),
        Section(
            "Returns by month",
            [monthly_table(*daily_equity(result.bars.open_time_ms, result.equity), result.cash)],
        ),
        Section(
            "Stability and tail",
            [columns(rolling_sharpe(measured), distribution(measured))],
            f"Sharpe ratio of the last {ROLLING_DAYS} days; daily returns with VaR and CVaR at 95 %.",
        ),
        Section("Orders", [_orders(result)]),
        *([Section("On record", [_notes(result)])] if result.notes else []),
        Section("Trades", [_trades(result)], f"The latest {LISTED_TRADES} of {len(result.trades):,}."),
        Section("Made from", [_lineage(result)]),
    ]
    return Document(
        f"{made_from.strategy} on {made_from.symbol} {made_from.interval}",
        f"{iso_utc(made_from.first_ms)[:10]} to {iso_utc(made_from.last_ms)[:10]} · "
        f"{len(made_from.symbols)} symbols · {made_from.market}",
        sections,
        footer="Returns are net of fees, slippage and funding. Ratios use daily returns over "
        f"{DAYS_PER_YEAR:.0f} days; {figures.days:,.1f} days measured. All times UTC.",
        lineage=f"{made_from.strategy} {made_from.strategy_version} · "
        "bars of several tables or not from the lake"
        if made_from.data_version is None
        else f"bars {made_from.data_version}",
    )


def _tone(value: float) -> Tone:
    return "good" if value > 0 else "bad" if value < 0 else ""


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
    lost = float(result.by_leg["delisting"].sum())
    if lost > 0.0:
        words += f" Delistings took {money(lost)}."
    return words


def _key_figures(result: AccountResult) -> Block:
    s = result.statistics
    gross = float(np.mean(result.gross / np.maximum(result.equity, 1e-9)))
    return cards(
        [
            Card(
                "Total return",
                percent(s.total_return, signed=True),
                f"annual {percent(s.annual_return, signed=True)}",
                _tone(s.total_return),
            ),
            Card("Sharpe", ratio(s.sharpe), f"Sortino {ratio(s.sortino)}", _tone(s.sharpe)),
            Card("Max drawdown", percent(-s.max_drawdown), f"longest {s.max_drawdown_days:,.1f} days", "bad"),
            Card("Volatility", percent(s.volatility), "annual, of daily returns"),
            Card("CVaR 95 %", percent(s.cvar_95), f"daily; VaR {percent(s.var_95)}"),
            Card("Gross exposure", percent(gross, 1), f"in the market {percent(s.exposure, 1)} of the bars"),
            Card("Turnover", f"{ratio(s.turnover, 1)}×", "traded value / equity, a year"),
            Card("Fees", money(s.fees), f"{percent(s.fees / result.cash)} of capital"),
            Card("Funding", money(-s.funding, 2, signed=True), "received, if positive"),
            Card("Round trips", f"{s.trades:,}", f"won {percent(s.win_rate, 1)}"),
            Card("Fills", f"{s.fills:,}", f"of {s.orders:,} orders"),
        ]
    )


def _parts(parts: pl.DataFrame, by: str) -> Block:
    """One row per asset or strategy."""
    rows = [
        (
            str(row[by]),
            Cell(money(row["profit"], 2, signed=True), _tone(row["profit"])),
            Cell(percent(row["contribution"], signed=True), _tone(row["profit"])),
            percent(row["exposure"], 1),
            f"{row['turnover']:,.1f}×",
            money(row["fees"], 2),
            money(-row["funding"], 2, signed=True) if row["funding"] else "-",
            money(-row["delisting"], 2) if row["delisting"] else "-",
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
        {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": "Positions / equity"}, "tickformat": ".0%"}},
        height=260,
    )


def _orders(result: AccountResult) -> Block:
    counted = result.orders.group_by("status", "cause", "control").len().sort("len", descending=True)
    rows = [
        (str(status), str(cause), str(control) or "-", f"{count:,}")
        for status, cause, control, count in counted.iter_rows()
    ]
    return table(("Status", "Cause", "Control", "Orders"), rows, text_columns=3)


def _notes(result: AccountResult) -> Block:
    rows = [(iso_utc(at)[:16].replace("T", " "), name, words) for at, name, words in result.notes]
    return table(("Time", "Strategy", "Note"), rows[-LISTED_NOTES:], text_columns=3, tall=True)


def _trades(result: AccountResult) -> Block:
    opened = result.panel.open_time_ms
    listed = [
        (trade, leg) for leg, trades in enumerate(result.trades_by_leg) for trade in trades[-LISTED_TRADES:]
    ]
    if not listed:
        return paragraph("No round trip was closed.", "muted")
    listed.sort(key=lambda one: int(one[0]["exit_bar"]), reverse=True)
    rows = []
    for trade, leg in listed[:LISTED_TRADES]:
        profit, invested = float(trade["profit"]), float(trade["qty"] * trade["entry_price"])
        rows.append(
            (
                result.panel.names[int(result.legs["instrument"][leg])],
                result.lineage.strategies[int(result.legs["strategy"][leg])].name,
                iso_utc(int(opened[trade["entry_bar"]]))[:16].replace("T", " "),
                iso_utc(int(opened[trade["exit_bar"]]))[:16].replace("T", " "),
                "long" if trade["side"] > 0 else "short",
                f"{float(trade['entry_price']):,.8g}",
                f"{float(trade['exit_price']):,.8g}",
                Cell(money(profit, 2, signed=True), _tone(profit)),
                Cell(percent(profit / invested if invested else math.nan, signed=True), _tone(profit)),
            )
        )
    headers = ("Symbol", "Strategy", "Entered", "Left", "Side", "Entry", "Exit", "Profit", "Return")
    return table(headers, rows, text_columns=5, tall=True)


def _lineage(result: AccountResult) -> Block:
    made_from = result.lineage
    return columns(
        definitions(
            {
                **{f"Strategy {line.name}": _line(line) for line in made_from.strategies},
                "Symbols": ", ".join(made_from.symbols),
                "Period": f"{iso_utc(made_from.first_ms)} to {iso_utc(made_from.last_ms)} (open times)",
                "Waivers": "; ".join(made_from.waivers) or "none",
            }
        ),
        definitions(_terms(made_from, result.quote)),
    )


def _line(line: StrategyLine) -> str:
    chosen = ", ".join(f"{name}={value:g}" for name, value in line.params.items())
    sized = sizing_as_text(line.sizing)
    return f"source version {line.version}, {percent(line.share, 0)} of the capital, sized {sized}; {chosen}"


def _margin_in_words(made_from: AccountLineage) -> str:
    if "um" not in made_from.market:
        return "none"
    named = "".join(f", {key} {leverage:g}" for key, leverage in made_from.leverages.items())
    return f"{made_from.margin_mode}, leverage up to {made_from.leverage:g}{named} within the brackets"


def _terms(made_from: AccountLineage, quote: str) -> dict[str, str]:
    return {
        **{
            f"Fees on {market}": f"maker {percent(costs['maker_rate'], 3)}, taker "
            f"{percent(costs['taker_rate'], 3)}, slippage {ratio(costs['slippage_bps'])} bp"
            for market, costs in made_from.costs.items()
        },
        "Order": f"LIMIT IOC, {percent(made_from.band)} beyond the close, at the next open; sells first",
        "Capital": f"{money(made_from.cash)} {quote}",
        "Margin": _margin_in_words(made_from),
        "Delisting": f"after {made_from.write_off_days:g} days without a bar, at the last price less "
        f"{percent(made_from.haircut, 0)}",
        "Risk gate": "on" if made_from.gated else "off",
    }
