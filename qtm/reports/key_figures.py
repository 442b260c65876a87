"""The row of key figures that opens a tear sheet, the same for every kind of run."""

from __future__ import annotations

from qtm.backtest.statistics import Statistics
from qtm.reports.blocks import Block, Card, cards, tone_of
from qtm.reports.formats import duration, money, percent, ratio


def key_figures(s: Statistics, cash: float, exposure: Card, *, funded: bool) -> Block:
    """What it earned, how it felt and what it cost; `exposure` is the kind's own card of it."""
    return cards(
        [
            Card(
                "Total return",
                percent(s.total_return, signed=True),
                f"annual {percent(s.annual_return, signed=True)}",
                tone_of(s.total_return),
            ),
            Card("Sharpe", ratio(s.sharpe), f"Sortino {ratio(s.sortino)}", tone_of(s.sharpe)),
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
