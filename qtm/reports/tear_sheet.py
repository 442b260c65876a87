"""The tear sheet of one backtest: what it earned, how it felt, what it cost, and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qtm.backtest.engine import BacktestResult
from qtm.backtest.intrabar import CAUSES, ENTRY
from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.session import EXPIRED, FILLED, PARTIAL, REFUSED, REJECTED
from qtm.backtest.statistics import DAYS_PER_YEAR, daily_equity
from qtm.backtest.tape.result import OrdersResult, SymbolResult
from qtm.clock import iso_utc
from qtm.reports.backtest_context import (
    benchmark_table,
    costs_figure,
    crisis_table,
    exposure_figure,
    slippage_paid,
)
from qtm.reports.backtest_figures import (
    MARKERS,
    ROLLING_DAYS,
    distribution,
    equity_figure,
    filled,
    price_figure,
    rolling_sharpe,
)
from qtm.reports.blocks import Block, Card, Cell, Document, Section, Tone, cards, columns, definitions, table
from qtm.reports.formats import money, percent, price, ratio
from qtm.reports.making_sections import making_section
from qtm.reports.monthly import monthly_table
from qtm.reports.orders_sections import (
    fill_quality_table,
    market_in_words,
    orders_costs_figure,
    orders_costs_table,
    orders_ends_table,
)
from qtm.reports.page import render_page
from qtm.reports.verdict_section import verdict_section
from qtm.risk.rules import CONTROL_NAMES
from qtm.risk.sized_targets import sizing_as_text

LISTED_TRADES = 250


def tear_sheet_page(result: SymbolResult, verdict: Verdict | None = None) -> str:
    """The tear sheet as one self-contained HTML page; `verdict` is that of an examination, if any."""
    return render_page(tear_sheet_document(result, verdict))


def tear_sheet_document(result: SymbolResult, verdict: Verdict | None = None) -> Document:
    """The tear sheet before it becomes a page or a PDF; `verdict` is that of an examination, if any."""
    made_from = result.lineage
    figures = result.statistics
    title = f"{made_from.strategy} on {made_from.symbol} {made_from.interval}"
    period = f"{_day(made_from.first_ms)} to {_day(made_from.last_ms)}"
    chosen = ", ".join(f"{name} {value:g}" for name, value in made_from.params.items())
    sections = [
        Section("Summary", [_key_figures(result)], _verdict(result)),
        *([verdict_section(verdict)] if verdict else []),
        Section(
            "Equity and drawdown",
            [equity_figure(result)],
            "Marked at every close, against buying at the first open and holding.",
        ),
        Section(
            "Returns by month",
            [monthly_table(*daily_equity(result.bars.open_time_ms, result.equity), result.cash)],
        ),
        Section(
            "Stability and tail",
            [columns(rolling_sharpe(result), distribution(result))],
            f"Sharpe ratio of the last {ROLLING_DAYS} days; daily returns with VaR and CVaR at 95 %.",
        ),
        Section(
            "Market and crises",
            [columns(benchmark_table(result), crisis_table(result))],
            "An event is shown when the run covers it whole; inside it, positions are marked at the worst "
            "price of every bar.",
        ),
        Section("Trades on the price", [price_figure(result)], _markers_note(result)),
        Section("Exposure", [exposure_figure(result)], _exposure_note(result)),
        Section("Costs and orders", _costs_and_orders(result)),
        *([making_section(result)] if isinstance(result, OrdersResult) else []),
        Section("Trades", [_trade_list(result)], _listed_note(result)),
        Section("Made from", [_lineage_table(result)]),
    ]
    return Document(
        title,
        f"{period} · {chosen}",
        sections,
        footer="Returns are net of fees and slippage. Ratios use daily returns over "
        f"{DAYS_PER_YEAR:.0f} days; {figures.days:,.1f} days measured. All times UTC.",
        lineage=f"{made_from.strategy} {made_from.strategy_version} · bars {_version(result)}",
    )


def _version(result: SymbolResult) -> str:
    """The version of the lake's table; its first is 0."""
    version = result.lineage.data_version
    return "not from the lake" if version is None else str(version)


def _day(ts_ms: int) -> str:
    return iso_utc(ts_ms)[:10]


def _tone(value: float) -> Tone:
    return "good" if value > 0 else "bad" if value < 0 else ""


def _verdict(result: SymbolResult) -> str:
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
    if math.isfinite(figures.days) and figures.days < 90:
        words += " Fewer than 90 days: ratios say little."
    return words


def _key_figures(result: SymbolResult) -> Block:
    s = result.statistics
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
            Card("Calmar", ratio(s.calmar), "annual return / drawdown", _tone(s.calmar)),
            Card("CVaR 95 %", percent(s.cvar_95), f"daily; VaR {percent(s.var_95)}"),
            Card("Round trips", f"{s.trades:,}", f"won {percent(s.win_rate, 1)}"),
            Card(
                "Profit factor", ratio(s.profit_factor), f"per trade {money(s.average_trade, 2, signed=True)}"
            ),
            Card("Exposure", percent(s.exposure, 1), "share of bars in the market"),
            Card("Turnover", f"{ratio(s.turnover, 1)}×", "traded value / equity, a year"),
            Card("Fees", money(s.fees), f"{percent(s.fees / result.cash)} of capital"),
            Card("Fills", f"{s.fills:,}", f"of {s.orders:,} orders"),
        ]
    )


def _exposure_note(result: SymbolResult) -> str:
    s = result.statistics
    return (
        f"In the market {percent(s.exposure, 1)} of the bars; traded {ratio(s.turnover, 1)} times its equity "
        "a year."
    )


def _markers_note(result: SymbolResult) -> str:
    fills = len(filled(result))
    return (
        f"The latest {MARKERS:,} of {fills:,} fills are marked." if fills > MARKERS else f"{fills:,} fills."
    )


def _costs_and_orders(result: SymbolResult) -> list[Block]:
    if isinstance(result, OrdersResult):
        return [
            columns(orders_costs_table(result), orders_ends_table(result)),
            fill_quality_table(result),
            orders_costs_figure(result),
        ]
    return [columns(_costs_table(result), _orders_table(result)), costs_figure(result)]


def _costs_table(result: BacktestResult) -> Block:
    """Gross to net; slippage is measured on entries, against the open they were filled at."""
    slippage = float(slippage_paid(result).sum())
    s, quote = result.statistics, result.instrument.quote
    net = s.final_equity - result.cash
    gross = net + s.fees + slippage + s.funding
    rows: list[tuple[str, str | Cell]] = [
        ("Before costs", Cell(money(gross, 2, signed=True), _tone(gross))),
        ("Fees", money(-s.fees, 2)),
        ("Slippage", money(-slippage, 2)),
        ("Funding", money(-s.funding, 2) if result.lineage.funded else "not charged"),
        ("Net", Cell(money(net, 2, signed=True), _tone(net))),
        ("Traded value", money(float(result.book["traded_notional"][0]), 0)),
    ]
    return table(("", quote), rows, caption="From gross to net")


def _orders_table(result: BacktestResult) -> Block:
    status, cause = result.order_rows["status"], result.order_rows["cause"]
    rows = [
        ("Filled at the next open", f"{int(((status == FILLED) & (cause == ENTRY)).sum()):,}"),
        ("Filled in part, the rest expired", f"{int(((status == PARTIAL) & (cause == ENTRY)).sum()):,}"),
        *(
            (f"Closed by {name}", f"{int((cause == number).sum()):,}")
            for number, name in enumerate(CAUSES)
            if number != ENTRY and (cause == number).any()
        ),
        ("Expired beyond the protective limit", f"{int((status == EXPIRED).sum()):,}"),
        ("Refused by the risk gate", f"{int((status == REFUSED).sum()):,}"),
    ]
    if (status == REJECTED).any():
        rows.append(("Rejected for want of margin", f"{int((status == REJECTED).sum()):,}"))
    refused = result.orders.filter(result.orders["status"] == "REFUSED")
    for control, number in refused["control"].value_counts(sort=True).iter_rows():
        named = ", ".join(f"{one} {CONTROL_NAMES.get(one, '')}".strip() for one in str(control).split(","))
        rows.append((f"  by {named}", f"{number:,}"))
    return table(("Order", "Count"), rows, caption="What became of the orders")


def _listed_note(result: SymbolResult) -> str:
    trades = len(result.trades)
    if trades == 0:
        return "No round trip was closed."
    return (
        f"The latest {LISTED_TRADES} of {trades:,}." if trades > LISTED_TRADES else f"{trades:,} round trips."
    )


def _trade_list(result: SymbolResult) -> Block:
    opened = result.bars.open_time_ms
    # An average of several fills lies between the ticks; two more places are enough to see where.
    places = 2 - int(result.instrument.tick_size.normalize().as_tuple().exponent)
    rows = []
    for trade in result.trades[::-1][:LISTED_TRADES]:
        profit = float(trade["profit"])
        invested = float(trade["qty"] * trade["entry_price"])
        rows.append(
            (
                iso_utc(int(opened[trade["entry_bar"]]))[:16].replace("T", " "),
                iso_utc(int(opened[trade["exit_bar"]]))[:16].replace("T", " "),
                "long" if trade["side"] > 0 else "short",
                price(float(trade["qty"])),
                price(round(float(trade["entry_price"]), places)),
                price(round(float(trade["exit_price"]), places)),
                money(float(trade["fees"]), 2),
                Cell(money(profit, 2, signed=True), _tone(profit)),
                Cell(percent(profit / invested if invested else math.nan, signed=True), _tone(profit)),
            )
        )
    headers = ("Entered", "Left", "Side", "Quantity", "Entry", "Exit", "Fees", "Profit", "Return")
    return table(headers, rows, text_columns=3, tall=True)


def _slippage(costs: dict[str, float]) -> str:
    words = f"{ratio(costs['slippage_bps'])} bp against the taker"
    if costs["impact"] > 0.0:
        words += f", impact {costs['impact']:g} × bar volatility × √(share of volume)"
    if costs["participation"] > 0.0:
        words += f", at most {percent(costs['participation'])} of a bar's volume"
    return words


def _maintenance(margin: dict[str, Any]) -> str:
    """The maintenance rate, or the range of the brackets'."""
    rates = [row[1] for row in margin["brackets"]] or [margin["maintenance_rate"]]
    return percent(rates[0]) if len(rates) == 1 else f"{percent(rates[0])} to {percent(rates[-1])}"


def _data(result: SymbolResult) -> str:
    """What the market was known by; the trades of a tape are counted beside its depth."""
    made_from = result.lineage
    named = f"{made_from.market} {made_from.symbol} {made_from.interval}"
    if isinstance(result, OrdersResult) and not result.tape.of_bars:
        return f"{named}, equity sampled every {result.tape.interval}"
    return f"{named}, {made_from.bars:,} bars"


def _lineage_table(result: SymbolResult) -> Block:
    made_from = result.lineage
    costs, limits, margin = made_from.costs, made_from.limits, made_from.margin
    return columns(
        definitions(
            {
                "Strategy": f"{made_from.strategy}, source version {made_from.strategy_version}",
                "Parameters": ", ".join(f"{name}={value:g}" for name, value in made_from.params.items()),
                "Data": _data(result),
                "Period": f"{iso_utc(made_from.first_ms)} to {iso_utc(made_from.last_ms)} (open times)",
                "Lake version": _version(result),
                "Waivers": "; ".join(made_from.waivers) or "none",
            }
        ),
        definitions(
            {
                "Fees": f"maker {percent(costs['maker_rate'], 3)}, taker {percent(costs['taker_rate'], 3)}",
                "Slippage": _slippage(costs),
                **(market_in_words(result) if isinstance(result, OrdersResult) else _orders_in_words(result)),
                "Capital": f"{money(made_from.cash)} {result.instrument.quote}",
                "Account": "spot"
                if margin is None
                else f"margin, leverage up to {margin['leverage']:g}, "
                f"liquidated at {_maintenance(margin)} of notional",
                "Risk gate": "off" if limits is None else _limits_in_words(limits),
            }
        ),
    )


def _orders_in_words(result: BacktestResult) -> dict[str, str]:
    """What one order of a step strategy is, and how its size was found."""
    made_from = result.lineage
    return {
        "Order": f"LIMIT IOC, {percent(made_from.band)} beyond the close, filled at the next open",
        "Sizing": sizing_as_text(made_from.sizing),
    }


def _limits_in_words(limits: Mapping[str, float]) -> str:
    stated = {name: float(value) for name, value in limits.items() if name != "rounding"}
    return ", ".join(f"{name.replace('_', ' ')} {value:,g}" for name, value in stated.items())
