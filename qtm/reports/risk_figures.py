"""The figures of the daily risk report, which the page and the JSON beside it only show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.execution.day_record import DayRecord
from qtm.portfolio.daily import DailyAllocation
from qtm.reports.account_limits import Standing
from qtm.reports.limit_use import LimitUse
from qtm.reports.live_books import LiveBooks
from qtm.risk.composite_stress import ScenarioLoss
from qtm.risk.measures import Floats, cdar
from qtm.risk.reverse_stress import Breach
from qtm.risk.rolling_backtest import EngineVerdict, RolledEngine
from qtm.risk.stress import StressLoss
from qtm.risk.tails import TailEstimate

MARKET_SYMBOL = "BTCUSDT"
"""What betas are measured against."""

RUNNING = "Running accounts"
"""How figures of the running accounts begin; they are in money."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One line of the book; shares and returns are fractions, values in the capital's currency."""

    symbol: str
    weight: float
    value: float
    last_return: float
    volatility: float
    beta: float
    component: float
    marginal: float
    days_to_exit: float


@dataclass(frozen=True, slots=True)
class BadDay:
    """One of the worst days the book would have lived through."""

    day_ms: int
    loss: float
    worst_symbol: str
    worst_symbol_loss: float


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure of the first page now and in the report before; None where that did not have it."""

    name: str
    now: float
    before: float | None
    money: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What moved since the previous report: CVaR split into market and trading, and the P&L in between.

    `lights` names the models whose light changed, with both lights.
    """

    previous_day_ms: int
    cvar_before: float
    from_market: float
    from_trading: float
    pnl: float
    pnl_by_symbol: dict[str, float]
    weights: dict[str, tuple[float, float]]
    headline: tuple[KeyFigure, ...] = ()
    new_breaches: tuple[str, ...] = ()
    cleared_breaches: tuple[str, ...] = ()
    lights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FundingLine:
    """Funding of one perpetual, as fractions of notional: on the day, a year at the pace of 30 days, at most.

    `highest` is the dearest of the 30 days, `weight` what the book holds of the coin.
    """

    symbol: str
    last_day: float
    month: float
    highest: float
    weight: float


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """Everything the report shows; losses and shares are fractions of `capital`."""

    answer: DailyAllocation
    capital: float
    path: Floats
    open_time_ms: npt.NDArray[np.int64]
    equity: Floats
    falls: Floats
    tails: tuple[TailEstimate, ...]
    exposures: tuple[Exposure, ...]
    limits: tuple[LimitUse, ...]
    stress: tuple[StressLoss, ...]
    composite: tuple[ScenarioLoss, ...]
    reverse: tuple[Breach, ...]
    """Every coin follows its beta to Bitcoin; in `reverse_alike` all move alike. The same limits in order."""
    reverse_alike: tuple[Breach, ...]
    deviations: float
    """Standard deviations of the least unlikely way to the daily loss limit."""
    worst_days: tuple[BadDay, ...]
    verdicts: tuple[EngineVerdict, ...]
    forecasts: RolledEngine | None
    forecast_days_ms: npt.NDArray[np.int64]
    correlation: Floats
    change: Change | None
    funding: tuple[FundingLine, ...] = ()
    waivers: tuple[str, ...] = ()
    record: DayRecord | None = None
    live: LiveBooks | None = None
    accounts: tuple[Standing, ...] = ()

    @property
    def all_limits(self) -> tuple[LimitUse, ...]:
        """Limits of the book and of every running account."""
        return (*self.limits, *(use for one in self.accounts for use in one.uses))

    def tail(self, engine: str, alpha: float) -> TailEstimate:
        """The estimate of one engine at one level."""
        return next(e for e in self.tails if e.engine == engine and abs(e.alpha - alpha) < 1e-9)


def headline(figures: RiskFigures) -> dict[str, float]:
    """The figures a reader compares from day to day; fractions of capital, the running accounts' in money."""
    alpha = f"{figures.answer.mandate.alpha * 100:g}"
    shown = {
        f"CVaR {alpha} %": figures.answer.allocation.cvar,
        "CVaR 97.5 %, filtered": figures.tail("Filtered historical", 0.975).cvar,
        "CVaR 97.5 %, stressed": figures.tail("Historical, stressed", 0.975).cvar,
        "Invested": float(np.abs(figures.answer.allocation.weights).sum()),
        "Drawdown of today's weights": float(figures.falls[-1]),
    }
    if figures.stress:
        shown["Worst dated event"] = figures.stress[0].worst
    if figures.accounts:
        shown[f"{RUNNING}: equity"] = sum(one.equity for one in figures.accounts)
    if figures.live is not None:
        shown[f"{RUNNING}: gross exposure"] = sum(line.gross for line in figures.live.assets)
        shown[f"{RUNNING}: CVaR {alpha} %"] = figures.live.cvar
    return shown


def figures_body(figures: RiskFigures) -> dict[str, Any]:
    """The figures as plain data for the JSON file beside the page; NaN becomes null."""
    answer, alpha = figures.answer, figures.answer.mandate.alpha
    allocation = answer.allocation
    body = {
        "as_of": iso_utc(answer.as_of_ms),
        "as_of_ms": answer.as_of_ms,
        "capital": figures.capital,
        **allocation.summary(),
        "cdar": cdar(figures.falls, alpha),
        "drawdown_now": float(figures.falls[-1]),
        "drawdown_worst": float(figures.falls.max()),
        "headline": headline(figures),
        "limits": [
            {**asdict(limit), "use": limit.use, "breached": limit.breached} for limit in figures.all_limits
        ],
        "tails": [asdict(estimate) for estimate in figures.tails],
        "exposures": [asdict(exposure) for exposure in figures.exposures],
        "stress": [asdict(loss) for loss in figures.stress],
        "composite": [{**asdict(loss), "total": loss.total} for loss in figures.composite],
        "reverse_stress": [asdict(breach) for breach in figures.reverse],
        "deviations_to_daily_loss": figures.deviations,
        "worst_days": [{**asdict(day), "day": iso_utc(day.day_ms)} for day in figures.worst_days],
        "models": [
            {
                "model": v.engine,
                "light": v.var_light.light.name,
                "es_light": v.shortfall_light.name,
                **v.body(),
            }
            for v in figures.verdicts
        ],
        "change": None if figures.change is None else asdict(figures.change),
        "funding": [asdict(line) for line in figures.funding],
        "waivers": list(figures.waivers),
        "refusals": {} if figures.record is None else figures.record.refusals_by_control(),
        "kills": [] if figures.record is None else list(figures.record.kills),
        "gates": [] if figures.record is None else [asdict(one) for one in figures.record.gates],
        "account": None if figures.live is None else asdict(figures.live),
        "accounts": [
            {"account": one.account, "equity": one.equity, "day_start": one.day_start, "peak": one.peak}
            for one in figures.accounts
        ],
        "lineage": {
            "lake": answer.lake,
            "lake_version": answer.lake_version,
            "scenario_model": answer.scenarios.model,
            "window": int(allocation.problem.scenarios.shape[0]),
            "excluded": {entry.symbol: entry.reason for entry in answer.scenarios.excluded},
            "backfilled": {entry.symbol: entry.rows for entry in answer.scenarios.backfilled},
        },
    }
    clean: dict[str, Any] = _without_nan(body)
    return clean


def _without_nan(value: Any) -> Any:
    """JSON has no NaN or infinity; both mean "not known" here."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
