"""The row of key figures that opens a tear sheet, the same for every kind of run."""

from __future__ import annotations

from qtm.backtest.standstill import Standstill
from qtm.backtest.statistics import Statistics
from qtm.reports.blocks import Block, Card, cards, tone_of
from qtm.reports.formats import duration, money, percent, ratio


def key_figures(
    s: Statistics, cash: float, exposure: Card, *, funded: bool, standstill: Standstill | None
) -> Block:
    """What it earned, how it felt and what it cost; `exposure` is the kind's own card of it.

    A run that its loss limits stopped says so first, and its ratios stand beside those of the traded part.
    """
    return cards(
        [
            *([] if standstill is None else _stopped(standstill)),
            Card(
                "Total return",
                percent(s.total_return, signed=True),
                f"annual {percent(s.annual_return, signed=True)}",
                tone_of(s.total_return),
            ),
            Card(
                "Sharpe" if standstill is None else "Sharpe, whole time",
                ratio(s.sharpe),
                f"Sortino {ratio(s.sortino)}" + ("" if standstill is None else ", standstill included"),
                tone_of(s.sharpe),
            ),
            Card(
                "Max drawdown",
                percent(-s.max_drawdown),
                f"longest {duration(s.max_drawdown_days * 86_400.0)}",
                "bad",
            ),
            Card("Volatility", percent(s.volatility), "annual, of daily returns"),
            Card("Calmar", ratio(s.calmar), "annual return / drawdown", tone_of(s.calmar)),
            Card("CVaR 95 %", percent(s.cvar_95), f"daily; VaR {percent(s.var_95)}"),
            Card("Round trips", f"{s.trades:,}", f"won {percent(s.win_rate, 1)}"),
            Card(
                "Profit factor", ratio(s.profit_factor), f"per trade {money(s.average_trade, 2, signed=True)}"
            ),
            exposure,
            Card("Turnover", f"{ratio(s.turnover, 1)}×", "traded value / equity, a year"),
            Card("Fees", money(s.fees), f"{percent(s.fees / cash)} of capital"),
            *(
                [Card("Funding", money(-s.funding, 2, signed=True), "received, if positive")]
                if funded
                else []
            ),
            Card("Fills", f"{s.fills:,}", f"of {s.orders:,} orders"),
        ]
    )


def standstill_in_words(standstill: Standstill | None) -> str:
    """A sentence for the summary; empty for a run that could trade to its end."""
    if standstill is None:
        return ""
    words = standstill.in_words()
    return f" {words[0].upper()}{words[1:]}; ratios of the whole time include that."


def _stopped(standstill: Standstill) -> list[Card]:
    return [
        Card(
            "Trading stopped",
            standstill.since,
            f"by a loss limit (PT-09); nothing traded since: {standstill.aftermath}",
            "bad",
        ),
        Card(
            "Sharpe while it traded",
            ratio(standstill.sharpe),
            f"first {duration(standstill.days * 86_400.0)}: annual "
            f"{percent(standstill.annual_return, signed=True)}, drawdown {percent(-standstill.max_drawdown)}",
            tone_of(standstill.sharpe),
        ),
    ]
