"""Joint returns with their probabilities and the record of how they came about.

One object serves the optimiser, the gate and the reports, so that they cannot disagree about tomorrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.risk.measures import Floats, historical_cvar, historical_var

NO_DAY = -1
"""`open_time_ms` of a scenario that comes from a model and from no day of history."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A symbol left out, and why."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """Returns of a newly listed symbol that come from its regression and not from prices."""

    symbol: str
    rows: int
    listed_ms: int
    beta: float


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where scenarios come from.

    `window_ms` is the open time of the first and the last bar whose returns were used, `parameters` what the
    model was given or estimated, `seed` None for a model that draws nothing. `lake` and `lake_version` name
    the table of bars; empty for scenarios that were not read from a lake.
    """

    window_ms: tuple[int, int]
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    seed: int | None = None
    lake: str = ""
    lake_version: int | None = None


@dataclass(frozen=True, slots=True)
class ScenarioSet:
    """Joint returns over one period.

    `returns` has shape (T, N), one column per entry of `symbols`; `open_time_ms` (T,) is the open time of the
    bar at whose close the return is complete (`NO_DAY` where there is none). `probabilities` (T,) sum to one;
    None means equally likely. `model` describes the model in words.
    """

    symbols: tuple[str, ...]
    open_time_ms: npt.NDArray[np.int64]
    returns: Floats
    model: str = "historical"
    excluded: tuple[Exclusion, ...] = ()
    backfilled: tuple[Backfill, ...] = ()
    probabilities: Floats | None = None
    provenance: Provenance = Provenance((NO_DAY, NO_DAY))

    def __post_init__(self) -> None:
        rows = self.returns.shape[0]
        if self.returns.shape != (rows, len(self.symbols)) or self.open_time_ms.shape != (rows,):
            raise RiskError(
                "scenarios need one column per symbol and one time per row",
                where=f"{self.returns.shape} returns, {self.open_time_ms.shape} times, "
                f"{len(self.symbols)} symbols",
            )
        chances = self.probabilities
        if chances is not None and (
            chances.shape != (rows,) or not (chances >= 0.0).all() or abs(float(chances.sum()) - 1.0) > 1e-9
        ):
            raise RiskError(
                "scenario probabilities must be one per row, not negative, and sum to one",
                where=f"shape {chances.shape}, sum {float(chances.sum()):.9f}",
            )

    def column(self, symbol: str) -> Floats:
        """Returns of one symbol, shape (T,)."""
        return self.returns[:, self.symbols.index(symbol)]

    def cvar(self, weights: Floats, alpha: float) -> float:
        """CVaR of the portfolio `weights` (N,), as a positive loss."""
        return historical_cvar(self.returns @ weights, alpha, self.probabilities)

    def var(self, weights: Floats, alpha: float) -> float:
        """VaR of the portfolio `weights` (N,)."""
        return historical_var(self.returns @ weights, alpha, self.probabilities)

    @property
    def mean(self) -> Floats:
        """Mean return of each symbol over the scenarios, shape (N,)."""
        if self.probabilities is None:
            mean: Floats = self.returns.mean(axis=0)
            return mean
        return self.probabilities @ self.returns

    @property
    def effective_rows(self) -> float:
        """Number of equally likely scenarios that would tell as much (Kish 1965)."""
        if self.probabilities is None:
            return float(self.returns.shape[0])
        return 1.0 / float(self.probabilities @ self.probabilities)

    def equally_likely(self, rows: int) -> ScenarioSet:
        """The same distribution as `rows` scenarios of equal probability, for evaluators that need that.

        Scenarios repeat in proportion to their probability (systematic resampling): each appears the whole
        number of times nearest to it from below or above. The order of the rows is kept.
        """
        if self.probabilities is None:
            return self
        if rows < 1:
            raise RiskError("a resample needs at least one row", where=f"{rows}")
        ends = np.cumsum(self.probabilities)
        points = (np.arange(rows) + 0.5) / rows * ends[-1]
        chosen = np.minimum(np.searchsorted(ends, points), ends.shape[0] - 1)
        return replace(
            self, open_time_ms=self.open_time_ms[chosen], returns=self.returns[chosen], probabilities=None
        )
