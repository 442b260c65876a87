"""One way to every scenario model: a recipe names the model and its settings, `make_scenarios` follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qtm.errors import ConfigError
from qtm.portfolio.scenarios.bootstrap import Blocks, block_bootstrap
from qtm.portfolio.scenarios.margins import Margins
from qtm.portfolio.scenarios.scenario_set import ScenarioSet


class ScenarioModel(StrEnum):
    """How the past becomes tomorrow's scenarios."""

    HISTORICAL = "historical"
    WEIGHTED = "weighted"
    FILTERED = "filtered"
    GARCH = "garch"
    BOOTSTRAP = "bootstrap"
    T_COPULA = "t-copula"


@dataclass(frozen=True, slots=True)
class ScenarioRecipe:
    """A scenario model with its settings.

    `half_life` is read by the weighted model (rows), `decay` by the filtered one, `draws`, `seed` by those
    that draw, `horizon` and `blocks` by the bootstrap, `margins` by the copula. `stressed_rows` appends that
    many of the worst consecutive days of all history to any of them.
    """

    model: ScenarioModel = ScenarioModel.HISTORICAL
    half_life: float = 180.0
    decay: float = 0.94
    draws: int = 5000
    seed: int = 0
    horizon: int = 1
    blocks: Blocks = Blocks.STATIONARY
    margins: Margins = Margins.PARETO_TAILS
    stressed_rows: int = 0

    def __post_init__(self) -> None:
        checks = (
            ("half-life", self.half_life > 0.0, "above zero"),
            ("decay", 0.0 < self.decay < 1.0, "between 0 and 1"),
            ("draws", self.draws >= 100, "100 or more"),
            ("seed", self.seed >= 0, "zero or more"),
            ("horizon", self.horizon >= 1, "one or more"),
            ("stressed-rows", self.stressed_rows >= 0, "zero or more"),
        )
        for name, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} is out of range", where=name, remedy=f"choose a value {allowed}")

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> ScenarioRecipe:
        """The recipe whose `dataclasses.asdict` went through JSON."""
        return cls(
            **{
                **values,
                "model": ScenarioModel(values["model"]),
                "blocks": Blocks(values["blocks"]),
                "margins": Margins(values["margins"]),
            }
        )


def make_scenarios(
    historical: ScenarioSet, recipe: ScenarioRecipe, *, long_history: ScenarioSet | None = None
) -> ScenarioSet:
    """Scenarios by `recipe` from the `historical` ones of a window.

    Parameters
    ----------
    historical
        Equally likely days in time order.
    recipe
        Model and settings.
    long_history
        All history of the same symbols; needed when the recipe appends a stressed window.

    Raises
    ------
    ConfigError
        If a stressed window is asked for without a long history.
    RiskError
        As the models do: too few rows, a series that no model fits.
    """
    made = _by_model(historical, recipe)
    if not recipe.stressed_rows:
        return made
    if long_history is None:
        raise ConfigError("a stressed window needs all the history", where="stressed-rows")
    from qtm.portfolio.scenarios.reshaped import with_stressed_window

    return with_stressed_window(made, long_history, rows=recipe.stressed_rows)


def _by_model(historical: ScenarioSet, recipe: ScenarioRecipe) -> ScenarioSet:
    # The models that need SciPy or a compiler are imported when they are asked for: the rest start in a
    # fraction of the time.
    match recipe.model:
        case ScenarioModel.HISTORICAL:
            return historical
        case ScenarioModel.BOOTSTRAP:
            return block_bootstrap(
                historical,
                draws=recipe.draws,
                horizon=recipe.horizon,
                blocks=recipe.blocks,
                seed=recipe.seed,
            )
        case ScenarioModel.T_COPULA:
            from qtm.portfolio.scenarios.copula import t_copula_scenarios

            return t_copula_scenarios(
                historical, draws=recipe.draws, margins=recipe.margins, seed=recipe.seed
            )
        case _:
            return _reshaped(historical, recipe)


def _reshaped(historical: ScenarioSet, recipe: ScenarioRecipe) -> ScenarioSet:
    from qtm.portfolio.scenarios import reshaped

    if recipe.model is ScenarioModel.WEIGHTED:
        return reshaped.exponentially_weighted(historical, half_life=recipe.half_life)
    if recipe.model is ScenarioModel.FILTERED:
        return reshaped.filtered_historical(historical, decay=recipe.decay)
    return reshaped.garch_filtered(historical)
