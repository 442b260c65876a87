"""Sections of the risk report on the running account: who carries the risk, what the day made, what broke."""

from __future__ import annotations

from collections.abc import Sequence

from qtm.reports.blocks import ACCENT, NEUTRAL, Block, Cell, Section, Tone, columns, figure, paragraph, table
from qtm.reports.formats import money, percent
from qtm.reports.live_books import Line, LiveBooks
from qtm.reports.risk_figures import FundingLine, RiskFigures
from qtm.risk.rules import CONTROL_NAMES


def live_section(books: LiveBooks | None, capital: float, level: str) -> Section:
    """P&L explain and CVaR by desk, strategy and asset."""
    title = "The running account: desks, strategies, assets"
    if books is None:
        return Section(title, [paragraph("No execution is on record up to this day.", "muted")])
    blocks: list[Block] = [
        _lines("Desk", books.desks, capital),
        _lines("Strategy", books.strategies, capital),
        columns(_bars(books.strategies), _bars(books.assets)),
        _lines("Asset", books.assets, capital),
    ]
    if books.unmeasured:
        blocks.append(paragraph(f"Traded and not measured: {', '.join(books.unmeasured)}.", "warn"))
    if books.other_fees:
        blocks.append(
            paragraph(f"Fees in assets without a price here: {', '.join(books.other_fees)}.", "muted")
        )
    return Section(
        title,
        blocks,
        f"CVaR {level} % of the account {money(books.cvar)} USDT on the same scenarios as the book; parts "
        "sum to it. Held: yesterday's positions between the closes; traded: the day's executions against the "
        "close.",
    )


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
    """Limits broken, orders refused, kills in force, data passed over by name."""
    rows: list[tuple[str | Cell, ...]] = [
        ("Limit", Cell(limit.name, "bad"), f"{percent(limit.use, 0)} of its bound")
        for limit in figures.limits
        if limit.breached
    ]
    record = figures.record
    if record is not None:
        rows += [
            ("Gate", f"{control} {CONTROL_NAMES.get(control, '')}".strip(), f"{count:,} orders refused")
            for control, count in record.refusals.items()
        ]
        rows += [("Kill in force", Cell(kill, "bad"), "") for kill in record.kills]
    rows += [("Waiver", waiver, "") for waiver in figures.waivers]
    if not rows:
        return Section(
            "Breaches and waivers", [paragraph("None: no breach, refusal, kill or waiver.", "good")]
        )
    return Section("Breaches and waivers", [table(("Kind", "What", ""), rows, text_columns=3)])


def _lines(kind: str, lines: Sequence[Line], capital: float) -> Block:
    rows = [
        (
            line.name,
            money(line.net),
            money(line.gross),
            money(line.alone),
            money(line.component),
            percent(line.component / capital),
            money(line.held, signed=True),
            money(line.traded, signed=True),
            money(-line.fees),
            Cell(money(line.pnl, signed=True), _tone(line.pnl)),
        )
        for line in lines
    ]
    headers = (
        kind,
        "Net",
        "Gross",
        "CVaR alone",
        "Part of CVaR",
        "of capital",
        "Held",
        "Traded",
        "Fees",
        "P&L",
    )
    return table(headers, rows)


def _bars(lines: Sequence[Line]) -> Block:
    shown = [line for line in lines if line.gross > 0.0][::-1]
    if not shown:
        return paragraph("Flat at the close.", "muted")
    names = [line.name for line in shown]
    return figure(
        [
            {
                "type": "bar", "orientation": "h", "name": name, "y": names, "x": values,
                "marker": {"color": colour}, "hovertemplate": "%{x:,.0f}",
            }
            for name, values, colour in (
                ("CVaR alone", [line.alone for line in shown], NEUTRAL),
                ("Part of CVaR", [line.component for line in shown], ACCENT),
            )
        ],
        {"barmode": "group", "legend": {"traceorder": "reversed"}, "yaxis": {"showgrid": False}},
        height=max(180, 90 + 44 * len(shown)),
    )  # fmt: skip


def _tone(value: float) -> Tone:
    return "good" if value > 0 else "bad" if value < 0 else ""
