"""Models that keep the days of history and change their size or their chance.

Days stay whole across symbols, so the dependence between symbols is the historical one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.risk.garch import garch_filtered_returns
from qtm.risk.measures import Floats
from qtm.risk.volatility import filtered_returns


def filtered_historical(scenarios: ScenarioSet, *, decay: float = 0.94) -> ScenarioSet:
    """Historical days rescaled to the volatility of tomorrow (Barone-Adesi, Giannopoulos and Vosper 1999).

    Each return is divided by the volatility that was expected for its day and multiplied by the one expected
    for the next period. Volatility is exponentially weighted with `decay` (0.94: half-life 11 bars).
    """
    return _reshaped(
        scenarios,
        filtered_returns(scenarios.returns, decay),
        f"filtered historical, EWMA {decay:g}",
        {"decay": decay},
    )


def garch_filtered(scenarios: ScenarioSet) -> ScenarioSet:
    """As `filtered_historical`, with the volatility of a GARCH(1,1) fitted to each symbol.

    Raises
    ------
    RiskError
        If a symbol's history is too short, constant, or no GARCH(1,1) fits it; the message names the column.
    """
    returns = garch_filtered_returns(scenarios.returns)
    return _reshaped(scenarios, returns, "filtered historical, GARCH(1,1)", {})


def exponentially_weighted(scenarios: ScenarioSet, *, half_life: float = 180.0) -> ScenarioSet:
    """Historical days whose chance halves every `half_life` rows back from the last.

    The hybrid approach of Boudoukh, Richardson and Whitelaw (1998).
    """
    if not half_life > 0.0:
        raise RiskError("a half-life must be above zero", where=f"{half_life}")
    age = np.arange(scenarios.returns.shape[0])[::-1]
    chances = np.exp2(-age / half_life)
    return replace(
        scenarios,
        probabilities=chances / chances.sum(),
        model=f"exponentially weighted, half-life {half_life:g}",
        provenance=replace(
            scenarios.provenance, parameters={**scenarios.provenance.parameters, "half_life": half_life}
        ),
    )


def with_stressed_window(scenarios: ScenarioSet, history: ScenarioSet, *, rows: int = 60) -> ScenarioSet:
    """`scenarios` with the worst `rows` consecutive days of `history` appended.

    The worst window is the one whose losing days have the largest sum of squares for equal weights. Its days
    get the mean chance of the scenarios they join, so `rows` of them added to T make up rows / (T + rows).

    Parameters
    ----------
    scenarios
        What the model of choice made.
    history
        Historical scenarios of at least the same symbols, reaching further back.
    rows
        Length of the stressed window.
    """
    missing = sorted(set(scenarios.symbols) - set(history.symbols))
    if missing:
        raise RiskError("the long history lacks symbols", where=", ".join(missing))
    if not 1 <= rows <= history.returns.shape[0]:
        raise RiskError(
            "the stressed window must fit the history", where=f"{rows} of {history.returns.shape[0]} days"
        )
    table = history.returns[:, [history.symbols.index(symbol) for symbol in scenarios.symbols]]
    losses = np.minimum(table.mean(axis=1), 0.0) ** 2
    totals = np.convolve(losses, np.ones(rows), mode="valid")
    first = int(np.argmax(totals))
    worst = slice(first, first + rows)
    count = scenarios.returns.shape[0]
    chances = scenarios.probabilities
    if chances is not None:
        joined = np.concatenate((chances, np.full(rows, 1.0 / count)))
        chances = joined / joined.sum()
    parameters = {
        **scenarios.provenance.parameters,
        "stressed_rows": float(rows),
        "stressed_from_ms": float(history.open_time_ms[first]),
    }
    return replace(
        scenarios,
        open_time_ms=np.concatenate((scenarios.open_time_ms, history.open_time_ms[worst])),
        returns=np.vstack((scenarios.returns, table[worst])),
        probabilities=chances,
        model=f"{scenarios.model}, with the worst {rows} days of history",
        provenance=replace(scenarios.provenance, parameters=parameters),
    )


def _reshaped(
    scenarios: ScenarioSet, returns: Floats, model: str, parameters: dict[str, float | str]
) -> ScenarioSet:
    provenance = replace(scenarios.provenance, parameters={**scenarios.provenance.parameters, **parameters})
    return replace(scenarios, returns=returns, model=model, provenance=provenance)
