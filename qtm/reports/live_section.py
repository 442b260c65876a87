"""Sections of the risk report on the running accounts: who carries risk, what the day made, what broke."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qtm.clock import iso_utc
from qtm.execution.day_record import GateWord
from qtm.reports.account_limits import DUST, Standing
from qtm.reports.blocks import (
    ACCENT,
    NEUTRAL,
    Block,
    Card,
    Cell,
    Section,
    Tone,
    figure,
    paragraph,
    table,
)
from qtm.reports.formats import money, percent
from qtm.reports.limit_use import LimitUse
from qtm.reports.live_books import Line, LiveBooks
from qtm.reports.risk_figures import FundingLine, RiskFigures
from qtm.risk.gate import STATE_NAMES
from qtm.risk.rules import ACTIVE, CONTROL_NAMES

OPEN = STATE_NAMES[ACTIVE]


def live_section(figures: RiskFigures) -> Section:
    """P&L explain and VaR and CVaR by desk, strategy and asset, over all running accounts."""
    title = "The running accounts: desks, strategies, assets"
    books = figures.live
    if books is None:
        return Section(title, [paragraph("No execution is on record up to this day.", "muted")])
    flat = DUST * figures.capital
    blocks: list[Block] = [
        _lines("Desk", books.desks, books.cvar),
        _lines("Strategy", books.strategies, books.cvar),
        _lines("Asset", books.assets, books.cvar),
        _bars(books, flat),
    ]
    if figures.accounts:
        blocks.insert(0, _accounts(figures.accounts))
    if books.unmeasured:
        blocks.append(paragraph(f"Traded and not measured: {', '.join(books.unmeasured)}.", "warn"))
    if books.other_fees:
        blocks.append(
            paragraph(f"Fees in assets without a price here: {', '.join(books.other_fees)}.", "muted")
        )
    level = f"{figures.answer.mandate.alpha * 100:g}"
    return Section(
        title,
        blocks,
        f"VaR {level} % of everything held {money(books.var)} USDT, CVaR {money(books.cvar)} USDT, on the "
        "same scenarios as the book; parts sum to it. Held: yesterday's positions between the closes; "
        "traded: the day's executions against the close.",
    )


def account_cards(figures: RiskFigures) -> list[Card]:
    """The running accounts in a few figures, for the first page; nothing where none runs."""
    books, accounts = figures.live, figures.accounts
    if books is None or not accounts:
        return []
    level = f"{figures.answer.mandate.alpha * 100:g}"
    pnl = sum(line.pnl for line in books.strategies)
    equity, day_start = sum(one.equity for one in accounts), sum(one.day_start for one in accounts)
    gross = sum(line.gross for line in books.assets)
    refused = {} if figures.record is None else figures.record.refusals_by_control()
    return [
        Card(
            "Accounts, P&L of the day",
            money(pnl, signed=True),
            f"{percent(pnl / day_start, signed=True)} of {money(day_start)} USDT",
            _tone(pnl),
        ),
        Card("Accounts, equity", money(equity), f"{len(accounts)} running, USDT"),
        Card("Accounts, gross", money(gross), f"{percent(gross / equity, 1)} of equity"),
        Card(
            f"Accounts, CVaR {level} %", money(books.cvar), f"{percent(books.cvar / equity)} of equity, 1 day"
        ),
        Card("Orders refused today", f"{sum(refused.values()):,}", ", ".join(refused) or "none"),
    ]


def _accounts(accounts: Sequence[Standing]) -> Block:
    rows = [
        (
            one.account,
            money(one.equity),
            money(one.day_start),
            Cell(money(one.equity - one.day_start, signed=True), _tone(one.equity - one.day_start)),
            money(one.peak),
            percent(one.drawdown),
            str(len(one.positions)),
            "none"
            if one.worst_event is None
            else f"{one.worst_event.name}: {percent(one.worst_event.worst, 1)}",
        )
        for one in accounts
    ]
    headers = (
        "Account", "Equity", "A day before", "Change", "Highest close", "Below it", "Positions",
        "Worst dated event, of equity",
    )  # fmt: skip
    return table(headers, rows)


def funding_section(lines: Sequence[FundingLine]) -> Section:
    """What a long perpetual of each symbol pays."""
    if not lines:
        return Section("Funding", [paragraph("The lake holds no funding rates of these days.", "muted")])
    rows = [
        (
            line.symbol,
            percent(line.last_day, 4, signed=True),
            percent(line.month, 1, signed=True),
            percent(line.highest, 4, signed=True),
            percent(line.weight, 1) if line.weight else "",
        )
        for line in lines
    ]
    headers = ("Perpetual", "Paid on the day", "30 days, a year", "Highest day of 30", "Spot weight")
    return Section(
        "Funding",
        [table(headers, rows)],
        "What longs pay shorts: the carry of a hedge, and its cost when it turns.",
    )


def breaches_section(figures: RiskFigures) -> Section:
    """Limits broken, orders refused, gates not simply open, kills in force, data passed over by name."""
    rows: list[tuple[str | Cell, ...]] = [
        ("Limit", Cell(limit.name, "bad"), f"{_of_bound(limit)}; set by {limit.set_by}")
        for limit in figures.all_limits
        if limit.breached
    ]
    record = figures.record
    if record is not None:
        rows += [
            (
                "Gate",
                f"{one.control} {CONTROL_NAMES.get(one.control, '')}".strip(),
                f"refused {one.count:,} {'order' if one.count == 1 else 'orders'} of {one.strategy} in "
                f"{one.symbol}",
            )
            for one in record.refusals
        ]
        rows += [
            ("Gate", Cell(f"{one.strategy} on {one.account}", "warn"), _gate_words(one))
            for one in record.gates
            if one.state != OPEN or one.tightened
        ]
        rows += [("Kill in force", Cell(kill, "bad"), "") for kill in record.kills]
    rows += [("Waiver", waiver, "") for waiver in figures.waivers]
    if not rows:
        return Section(
            "Breaches and waivers", [paragraph("None: no breach, refusal, kill or waiver.", "good")]
        )
    return Section("Breaches and waivers", [table(("Kind", "What", ""), rows, text_columns=3)])


def _of_bound(limit: LimitUse) -> str:
    return f"{percent(limit.use, 0)} of its bound" if np.isfinite(limit.use) else "not measurable"


def _gate_words(word: GateWord) -> str:
    """Under what a gate judged its last order of the day."""
    lights = ", tightened by the lights of the risk models" if word.tightened else ""
    return f"{word.state} at {iso_utc(word.decided_ms)[11:16]}, limits {word.limits_version}{lights}"


def _lines(kind: str, lines: Sequence[Line], cvar: float) -> Block:
    rows = [
        (
            line.name,
            money(line.net),
            money(line.gross),
            money(line.var),
            money(line.alone),
            money(line.component),
            percent(line.component / cvar, 0) if cvar > 0.0 else "",
            money(line.held, signed=True),
            money(line.traded, signed=True),
            money(-line.fees),
            Cell(money(line.pnl, signed=True), _tone(line.pnl)),
        )
        for line in lines
    ]
    headers = (
        kind, "Net", "Gross", "VaR alone", "CVaR alone", "Part of CVaR", "Share", "Held", "Traded", "Fees",
        "P&L",
    )  # fmt: skip
    return table(headers, rows)


def _bars(books: LiveBooks, flat: float) -> Block:
    """CVaR alone beside the part of the whole for every desk, strategy and asset that holds something."""
    shown = [
        (f"{kind}{line.name}", line)
        for kind, lines in (("Desk ", books.desks), ("Strategy ", books.strategies), ("", books.assets))
        for line in lines
        if line.gross > flat
    ][::-1]
    if not shown:
        return paragraph("Flat at the close.", "muted")
    names = [name for name, _ in shown]
    return figure(
        [
            {
                "type": "bar", "orientation": "h", "name": name, "y": names, "x": values,
                "marker": {"color": colour}, "hovertemplate": "%{x:,.0f}",
            }
            for name, values, colour in (
                ("CVaR alone", [line.alone for _, line in shown], NEUTRAL),
                ("Part of CVaR", [line.component for _, line in shown], ACCENT),
            )
        ],
        {
            "barmode": "group", "legend": {"traceorder": "reversed"}, "yaxis": {"showgrid": False},
            "xaxis": {"title": {"text": "CVaR of one day, USDT"}},
        },
        height=110 + 34 * len(shown),
    )  # fmt: skip


def _tone(value: float) -> Tone:
    return "good" if value > 0 else "bad" if value < 0 else ""
