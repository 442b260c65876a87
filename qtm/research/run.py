"""One call from names and dates to a finished run, whatever the kind of strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import polars as pl

from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.engine import BacktestResult
from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.statistics import Statistics
from qtm.backtest.tape.result import OrdersResult
from qtm.errors import ConfigError
from qtm.reports.account_sheet import account_sheet_document
from qtm.reports.blocks import Document
from qtm.reports.formats import percent, ratio
from qtm.reports.page import render_page, write_report
from qtm.reports.run_folder import write_run
from qtm.reports.tear_sheet import tear_sheet_document
from qtm.research.gathering import gather, gather_account
from qtm.research.request import Options
from qtm.settings import settings
from qtm.strategies.contract import StepStrategy
from qtm.strategies.registry import Strategy, load_strategy

if TYPE_CHECKING:
    from qtm.backtest.registry import Trial


@dataclass(frozen=True, repr=False)
class ResearchRun:
    """A finished backtest and what one asks of it; `strategy` is None where several shared the account."""

    result: BacktestResult | AccountResult | OrdersResult
    strategy: Strategy | None = None

    @property
    def statistics(self) -> Statistics:
        """Performance figures."""
        return self.result.statistics

    @property
    def orders(self) -> pl.DataFrame:
        """Every order of the run."""
        return self.result.orders

    @cached_property
    def page(self) -> str:
        """The tear sheet as one self-contained HTML page."""
        return render_page(self.document)

    def tear_sheet(self, path: Path | str | None = None) -> Path:
        """Write the tear sheet, by default under the reports folder of the settings; returns its path."""
        made_from = self.result.lineage
        name = f"tear-sheet-{made_from.strategy}-{made_from.symbol}-{made_from.interval}.html"
        return write_report(Path(path) if path else settings().reports_dir / name, self.page)

    @cached_property
    def verdict(self) -> Verdict | None:
        """The newest verdict on record for this code, these parameters, symbols and interval, if any."""
        from qtm.research.examined import verdict_on_record

        return None if self.strategy is None else verdict_on_record(self.strategy, self.result)

    @cached_property
    def others_examined(self) -> list[Verdict]:
        """Of a run without a verdict of its own: those on other parameters, symbols or bars."""
        from qtm.research.examined import others_examined

        return [] if self.strategy is None or self.verdict else others_examined(self.strategy)

    @cached_property
    def document(self) -> Document:
        """The tear sheet before it becomes a page or a PDF, with the verdict on record."""
        return self.document_with(self.verdict, self.others_examined)

    def document_with(self, verdict: Verdict | None, others: Sequence[Verdict] = ()) -> Document:
        """The same with the verdict of an examination, or those on `others` where there is none."""
        if isinstance(self.result, AccountResult):
            return account_sheet_document(self.result, verdict, others)
        return tear_sheet_document(self.result, verdict, others)

    def save(self, folder: Path | str) -> Path:
        """Write the run as a folder of files, for `qtm compare`; returns the folder."""
        bars = self.result.bars
        return write_run(Path(folder), self.result, bars.open_time_ms + bars.interval.ms)

    def __repr__(self) -> str:
        """One line: where, on how many bars, and the figures asked for first."""
        made_from, figures = self.result.lineage, self.statistics
        return (
            f"<{made_from.strategy} on {made_from.symbol} {made_from.interval}, {made_from.bars:,} bars: "
            f"return {percent(figures.total_return, signed=True)}, Sharpe {ratio(figures.sharpe)}, "
            f"drawdown {percent(figures.max_drawdown)}>"
        )

    def _repr_html_(self) -> str:
        """The tear sheet inside a notebook cell, isolated from the notebook's own styles."""
        source = self.page.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{source}" style="width:100%;height:900px;border:0"></iframe>'


def backtest(
    strategy: str | Strategy | Sequence[Seat],
    symbols: str | Sequence[str],
    interval: str = "1m",
    *,
    params: Mapping[str, Any] | None = None,
    debug: bool = False,
    **options: Unpack[Options],
) -> ResearchRun:
    """Run a strategy of any kind on symbols of the lake; the run is counted in the trial registry.

    Parameters
    ----------
    strategy
        A bundled name, a `.py` file, a strategy, several names with commas between them (equal shares of one
        account), or seats (see `qtm.backtest.account.seats.Seat`).
    symbols
        One symbol, several with commas, or a list; `um:BTCUSDT` names its market.
    interval
        Bar length; `trades` runs an order strategy on every trade.
    params
        Strategy parameters over its defaults; with several strategies written `trend.fast`.
    debug
        Run steps as plain Python, where breakpoints work; the result is the same.
    options
        See `Options`.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, or values that cannot be used.
    """
    seats = _seats(strategy, params)
    seat, is_alone = seats[0], len(seats) == 1
    result: BacktestResult | AccountResult | OrdersResult
    if not is_alone or (debug and isinstance(seat.strategy, StepStrategy)):
        result = gather_account(symbols, interval, **options).run_seats(seats, debug=debug)
    else:
        conditions = gather(seat.strategy, symbols, interval, **options).conditions
        if isinstance(conditions, AccountConditions):
            result = conditions.run_seats(seats, debug=debug)
        elif isinstance(conditions, TapeConditions):
            result = conditions.run(seat.strategy, seat.values, debug=debug)
        else:
            result = conditions.run(seat.strategy, seat.values)
    from qtm.backtest.registry import trial_of

    _record([trial_of(result)])
    return ResearchRun(result, seat.strategy if is_alone else None)


def _seats(strategy: str | Strategy | Sequence[Seat], params: Mapping[str, Any] | None) -> list[Seat]:
    """The strategies with their parameters and shares."""
    given = dict(params or {})
    if isinstance(strategy, str):
        names = [name.strip() for name in strategy.split(",")]
        loaded = [load_strategy(name) for name in names]
        if len(loaded) == 1:
            return [Seat(loaded[0], given)]
        own: dict[str, dict[str, Any]] = {one.name: {} for one in loaded}
        for name, value in given.items():
            owner, dot, parameter = name.partition(".")
            if not dot or owner not in own:
                raise ConfigError(
                    f"whose parameter is {name!r}?", remedy=f"write {loaded[0].name}.{parameter or name}=..."
                )
            own[owner][parameter] = value
        return [Seat(one, own[one.name], share=1.0 / len(loaded)) for one in loaded]
    if isinstance(strategy, Strategy):
        return [Seat(strategy, given)]
    if given:
        raise ConfigError("seats carry their own parameters", where=", ".join(given))
    return [
        replace(seat, strategy=load_strategy(seat.strategy)) if isinstance(seat.strategy, str) else seat
        for seat in strategy
    ]


def _record(trials: Sequence[Trial]) -> None:
    """Count what was tried; the database's libraries load only when something is recorded."""
    from qtm.backtest.registry import TrialRegistry

    TrialRegistry.open(settings().database).record(trials)
