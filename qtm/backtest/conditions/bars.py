"""One symbol's bars, for a step strategy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.engine import BacktestResult, make_rules, run_backtest
from qtm.backtest.funding import FundingRates
from qtm.backtest.place import Place
from qtm.backtest.statistics import daily_equity
from qtm.backtest.trial_terms import USUAL_BAND, terms_on_one_symbol
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.risk.rules import GateLimits
from qtm.risk.sized_targets import sizing_as_params, sizing_in_words
from qtm.risk.sizing import Sizer
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel, taker_price_ticks
from qtm.trading.margin import Margin


@dataclass(frozen=True)
class BarConditions:
    """See `qtm.backtest.conditions.contract.Conditions`; the fields are arguments of `run_backtest`."""

    bars: BarSeries
    instrument: Instrument
    cash: float
    costs: CostModel
    sizing: Sizing | Sizer = field(default_factory=Sizing)
    band: float = USUAL_BAND
    limits: GateLimits | None = None
    margin: Margin | None = None
    funding: FundingRates | None = None
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where and when."""
        bars = self.bars
        return Place(
            str(self.instrument.market), bars.symbol, (bars.symbol,), str(bars.interval),
            int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]), self.data_version,
        )  # fmt: skip

    @property
    def terms_as_params(self) -> dict[str, float]:
        """Sizing rule, leverage, capital, costs, limits and band as parameters."""
        return {
            **sizing_as_params(sizing_in_words(self.sizing)),
            **terms_on_one_symbol(
                market=str(self.instrument.market),
                cash=self.cash,
                costs=self.costs._asdict(),
                limits=self.limits,
                leverage=0.0 if self.margin is None else self.margin.leverage,
                band=self.band,
            ),
        }

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """The days that have a bar."""
        return daily_equity(self.bars.open_time_ms, self.bars.close)[0]

    def run(self, strategy: StepStrategy, params: Any, *, trade_from_ms: int | None = None) -> BacktestResult:
        """Backtest `params`; raises as `run_backtest`."""
        return run_backtest(
            strategy,
            params,
            self.bars,
            self.instrument,
            cash=self.cash,
            costs=self.costs,
            sizing=self.sizing,
            band=self.band,
            limits=self.limits,
            margin=self.margin,
            trade_from_ms=trade_from_ms,
            funding=self.funding,
            data_version=self.data_version,
            waivers=self.waivers,
            data_versions=self.data_versions,
        )

    def between(self, begin_ms: int, end_ms: int, cash: float, *, warm_up: int) -> BarConditions | None:
        """The same over a window and `warm_up` bars before it, with other capital."""
        first, stop = (int(i) for i in np.searchsorted(self.bars.open_time_ms, (begin_ms, end_ms)))
        if first == stop:
            return None
        return dataclasses.replace(self, bars=self.bars.slice(max(0, first - warm_up), stop), cash=cash)

    def with_cash(self, cash: float) -> BarConditions:
        """The same with other capital."""
        return dataclasses.replace(self, cash=cash)

    def with_costs(self, change: Callable[[CostModel], CostModel]) -> BarConditions:
        """The same with other costs."""
        return dataclasses.replace(self, costs=change(self.costs))

    def closing_cost(self, result: BacktestResult) -> float:
        """What selling or buying back the open position at the last close costs."""
        qty, close = float(result.book["qty"][0]), float(result.bars.close[-1])
        return taker_cost(qty, close, float(self.instrument.tick_size), self.costs)

    def terms(self, strategy: StepStrategy) -> dict[str, Any]:
        """The engine's rules, and the funding as a digest."""
        rules = make_rules(
            self.bars, self.instrument, self.costs, self.sizing, self.band, self.limits, None, self.margin,
            funded=self.funding is not None,
        )  # fmt: skip
        return {
            "cash": self.cash,
            "grid": rules.grid._asdict(),
            "costs": rules.costs._asdict(),
            "sizing": sizing_in_words(self.sizing),
            "limits": rules.limits._asdict() if rules.gated else None,
            "margin": rules.margin.as_dict(),
            "band": rules.band,
            "funding": None if self.funding is None else self.funding.digest,
        }

    @property
    def nbytes(self) -> int:
        """Nothing: the bars are views of mapped files, or the caller's own."""
        return 0


def taker_cost(qty: float, close: float, tick_size: float, costs: CostModel) -> float:
    """Slippage and fee of trading a position (signed base units) away at a close, in quote currency."""
    if qty == 0.0:
        return 0.0
    price = taker_price_ticks(-1 if qty > 0.0 else 1, close, tick_size, costs.slippage_bps) * tick_size
    return abs(qty) * (abs(close - price) + price * costs.taker_rate)
