"""The figures of the daily risk report, which the page and the JSON beside it only show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.execution.day_record import DayRecord
from qtm.portfolio.daily import DailyAllocation
from qtm.reports.live_books import LiveBooks
from qtm.risk.composite_stress import ScenarioLoss
from qtm.risk.measures import Floats, cdar
from qtm.risk.reverse_stress import Breach
from qtm.risk.rolling_backtest import EngineVerdict, RolledEngine
from qtm.risk.stress import StressLoss
from qtm.risk.tails import TailEstimate


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
class LimitUse:
    """A measure beside its limit; `use` of one or more is a breach."""

    name: str
    value: float
    limit: float
    money: bool = False

    @property
    def use(self) -> float:
        """Value over limit."""
        return self.value / self.limit if self.limit > 0.0 else float("inf")

    @property
    def breached(self) -> bool:
        """Whether the limit is exceeded beyond rounding."""
        return self.use > 1.0 + 1e-6


@dataclass(frozen=True, slots=True)
class BadDay:
    """One of the worst days the book would have lived through."""

    day_ms: int
    loss: float
    worst_symbol: str
    worst_symbol_loss: float


@dataclass(frozen=True, slots=True)
class Change:
    """What moved since the previous report: CVaR split into market and trading, and the P&L in between."""

    previous_day_ms: int
    cvar_before: float
    from_market: float
    from_trading: float
    pnl: float
    pnl_by_symbol: dict[str, float]
    weights: dict[str, tuple[float, float]]


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

    def tail(self, engine: str, alpha: float) -> TailEstimate:
        """The estimate of one engine at one level."""
        return next(e for e in self.tails if e.engine == engine and abs(e.alpha - alpha) < 1e-9)


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
        "limits": [
            {**asdict(limit), "use": limit.use, "breached": limit.breached} for limit in figures.limits
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
        "refusals": {} if figures.record is None else figures.record.refusals,
        "kills": [] if figures.record is None else list(figures.record.kills),
        "account": None if figures.live is None else asdict(figures.live),
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
