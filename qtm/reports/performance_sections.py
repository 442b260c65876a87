"""What every tear sheet shows of a run's returns, whatever kind of run it was."""

from __future__ import annotations

from qtm.backtest.conditions.contract import Result
from qtm.backtest.statistics import Statistics, daily_equity
from qtm.reports.backtest_figures import ROLLING_DAYS, distribution, rolling_sharpe
from qtm.reports.blocks import Section, columns
from qtm.reports.formats import percent, ratio
from qtm.reports.monthly import monthly_table


def performance_sections(result: Result) -> list[Section]:
    """Returns by month, and how steady they were."""
    return [
        Section(
            "Returns by month",
            [monthly_table(*daily_equity(result.open_time_ms, result.equity), result.cash)],
        ),
        Section(
            "Stability and tail",
            [columns(rolling_sharpe(result), distribution(result))],
            f"Sharpe ratio of the last {ROLLING_DAYS} days; daily returns with VaR and CVaR at 95 %.",
        ),
    ]


def exposure_note(s: Statistics) -> str:
    """How long it was in the market and how much it traded, in words."""
    return (
        f"In the market {percent(s.exposure, 1)} of the bars; traded {ratio(s.turnover, 1)} times its equity "
        "a year."
    )
