"""Whether the chosen parameters stand on a plateau or on a needle: the same strategy a little to every side.

A parameter box reaches a share (20 %) to either side of every parameter. Sensible parameters earn about as
much everywhere in it; overfitted ones earn only at its centre.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from qtm.backtest.conditions.contract import Conditions, is_compiled
from qtm.backtest.overfitting.trials import run_trials, sharpe_ratios
from qtm.errors import RiskError
from qtm.strategies.registry import Strategy

REACH: Final = 0.2
PROFITABLE_SHARE: Final = 0.8
"""At least this share of the neighbours must earn money."""
KEPT_SHARPE: Final = 0.5
"""The median neighbour must keep at least this share of the centre's Sharpe ratio."""
_MOST_RUNS: Final = {True: 650, False: 125}
_SAMPLED: Final = {True: 128, False: 64}
"""Runs of a grid at most, and points of a box that is too large for one (a power of two, as Sobol's sequence
wants), for machine code and for Python."""


@dataclass(frozen=True, slots=True)
class BoxStability:
    """The neighbours inside the box, without the centre.

    Attributes
    ----------
    neighbours
        One row each: parameters, `total_return`, `sharpe` (per day).
    centre_sharpe
        Sharpe ratio per day of the chosen parameters.
    profitable
        Share of neighbours with a positive net return.
    median_sharpe, worst_return
        Over the neighbours.
    """

    neighbours: pl.DataFrame
    centre_sharpe: float
    profitable: float
    median_sharpe: float
    worst_return: float

    @property
    def kept(self) -> float:
        """Share of the centre's Sharpe ratio the median neighbour keeps; zero when the centre has none."""
        return self.median_sharpe / self.centre_sharpe if self.centre_sharpe > 0.0 else 0.0

    @property
    def stable(self) -> bool:
        """Enough neighbours earn, and the typical one keeps enough of the Sharpe ratio."""
        return self.profitable >= PROFITABLE_SHARE and self.kept >= KEPT_SHARPE


def parameter_box(strategy: Strategy, centre: Any, reach: float = REACH) -> list[Any]:
    """Combinations of values within `reach` of the centre's, inside the bounds; the centre comes first.

    Every combination of five values a parameter (or three) where they are few enough; for more parameters
    the two ends of each alone, and points spread evenly over the box by Sobol's sequence. Whole-number
    parameters move by at least one. A parameter at zero has no twenty percent and stays.

    Raises
    ------
    RiskError
        If `reach` is not inside (0, 1), or no parameter can move.
    """
    if not 0.0 < reach < 1.0:
        raise RiskError("the box must reach a share inside (0, 1)", where=f"reach={reach}")
    values = centre._asdict()
    moving = [name for name, value in values.items() if value != 0]
    if not moving:
        raise RiskError("no parameter can move, all are zero", where=strategy.name)
    compiled = is_compiled(strategy)
    steps = next((steps for steps in (5, 3) if steps ** len(moving) <= _MOST_RUNS[compiled]), 5)
    axes = [
        _axis(values[name], strategy.bounds.get(name, (-np.inf, np.inf)), reach, steps) for name in moving
    ]
    if steps ** len(moving) <= _MOST_RUNS[compiled]:
        chosen: Sequence[Sequence[Any]] = list(itertools.product(*axes))
    else:
        chosen = _spread(axes, [values[name] for name in moving], _SAMPLED[compiled])
    box = [strategy.params({**values, **dict(zip(moving, point, strict=True))}) for point in chosen]
    return [centre, *(params for params in dict.fromkeys(box) if params != centre)]


def _spread(axes: Sequence[Sequence[Any]], centre: Sequence[Any], points: int) -> list[list[Any]]:
    """Both ends of every axis with the others at the centre, then points of Sobol's sequence."""
    from scipy.stats import qmc

    ends = [
        [*centre[:at], end, *centre[at + 1 :]] for at, axis in enumerate(axes) for end in (axis[0], axis[-1])
    ]
    places = qmc.Sobol(len(axes), rng=1).random(points)
    return ends + [
        [axis[int(place * len(axis))] for axis, place in zip(axes, row, strict=True)] for row in places
    ]


def box_stability(
    strategy: Strategy, centre: Any, conditions: Conditions, reach: float = REACH
) -> BoxStability:
    """Run the whole box under the same conditions.

    Raises
    ------
    RiskError, StrategyError, DataError
        As `parameter_box` and `run_trials`.
    """
    trials = run_trials(strategy, parameter_box(strategy, centre, reach), conditions)
    if len(trials) < 2:
        raise RiskError(
            "the box holds nothing but its centre", where=strategy.name, remedy="widen the bounds"
        )
    sharpe = sharpe_ratios(trials.returns)
    total = np.prod(1.0 + trials.returns, axis=0) - 1.0
    rows = [dict(params._asdict()) for params in trials.params[1:]]
    return BoxStability(
        neighbours=pl.DataFrame(rows).with_columns(
            pl.Series("total_return", total[1:]), pl.Series("sharpe", sharpe[1:])
        ),
        centre_sharpe=float(sharpe[0]),
        profitable=float((total[1:] > 0.0).mean()),
        median_sharpe=float(np.median(sharpe[1:])),
        worst_return=float(total[1:].min()),
    )


def stability_map(sweep: pl.DataFrame, across: str, down: str, figure: str = "sharpe") -> pl.DataFrame:
    """A figure of a sweep over two of its parameters, the median over all others.

    Parameters
    ----------
    sweep
        One row per combination, as `qtm.backtest.sweep.run_sweep` gives.
    across, down
        Parameters that name the columns and the rows.

    Returns
    -------
    pl.DataFrame
        `down` and one column per value of `across`, both ascending; null where nothing was run.

    Raises
    ------
    RiskError
        For a column that is not there, or twice the same parameter.
    """
    missing = [name for name in (across, down, figure) if name not in sweep.columns]
    if missing or across == down:
        raise RiskError(
            f"the sweep has no column {missing[0]!r}" if missing else "a map needs two parameters",
            where="stability map",
            remedy=f"choose among {', '.join(sweep.columns)}",
        )
    cells = sweep.group_by(down, across).agg(pl.col(figure).median()).sort(across, down)
    return cells.pivot(across, index=down, values=figure).sort(down)


def _axis(value: Any, bounds: tuple[float, float], reach: float, steps: int) -> Sequence[Any]:
    """Values from (1 - reach) to (1 + reach) times `value`, whole where it is whole, inside the bounds."""
    low, high = bounds
    offsets = np.linspace(-reach, reach, steps)
    if isinstance(value, int):
        moves = [round(value * offset) for offset in offsets]
        if max(moves) == 0:
            moves = [-1, 0, 1]
        points: list[Any] = [value + move for move in moves]
    else:
        points = [float(value * (1.0 + offset)) for offset in offsets]
        points[steps // 2] = value
    return [point for point in dict.fromkeys(points) if low <= point <= high]
