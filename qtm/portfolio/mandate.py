"""The mandate of the daily book: what it may do and how it looks at tomorrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from qtm.errors import ConfigError, DataError
from qtm.portfolio.covariance import CovarianceModel
from qtm.portfolio.problem import GroundNorm, Objective, TailCap
from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe
from qtm.portfolio.views import View
from qtm.settings import RiskSettings


class MeanModel(StrEnum):
    """Where expected returns come from."""

    SHRUNK = "shrunk"
    """Bayes-Stein: towards the mean of the minimum-variance portfolio (Jorion 1986)."""
    JAMES_STEIN = "james-stein"
    EQUILIBRIUM = "equilibrium"
    """What would make the symbols worth holding in proportion to the money traded in them."""
    SAMPLE = "sample"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Mandate:
    """What the daily book may do; caps and floors are per day as fractions of capital.

    `window` is the number of daily returns looked at, `least_history` the fewest a symbol must have.
    With `allow_cash` up to all of the capital may stay uninvested. `further_caps` are CVaR caps at other
    levels, `rivals` scenario models under which every cap must hold too, and `radius` the Wasserstein
    distance (in units of daily return, measured in `ground`) by which all of them may be wrong. `views` move
    the expected returns, whichever model they come from (Black and Litterman), through the covariance by
    `covariance`, which the minimum-variance benchmark uses too.
    """

    alpha: float = 0.95
    cvar_cap: float = 0.04
    max_weight: float = 0.25
    allow_cash: bool = True
    objective: Objective = Objective.MAX_RETURN
    risk_aversion: float = 0.05
    window: int = 730
    least_history: int = 180
    scenarios: ScenarioRecipe = field(default_factory=ScenarioRecipe)
    mean: MeanModel = MeanModel.SHRUNK
    cost_rate: float = 0.0
    turnover_cap: float | None = None
    further_caps: tuple[TailCap, ...] = ()
    rivals: tuple[ScenarioRecipe, ...] = ()
    radius: float = 0.0
    ground: GroundNorm = GroundNorm.EUCLIDEAN
    views: tuple[View, ...] = ()
    covariance: CovarianceModel = CovarianceModel.LEDOIT_WOLF

    def __post_init__(self) -> None:
        checks = (
            ("alpha", 0.5 < self.alpha < 1.0, "between 0.5 and 1"),
            ("cap", self.cvar_cap > 0.0, "above zero"),
            ("max-weight", 0.0 < self.max_weight <= 1.0, "above 0 and at most 1"),
            ("window", self.window >= 30, "at least 30 days"),
            ("least-history", 2 <= self.least_history <= self.window, "between 2 and the window"),
            ("risk-aversion", self.risk_aversion >= 0.0, "zero or more"),
            ("cost", self.cost_rate >= 0.0, "zero or more"),
            ("turnover-cap", self.turnover_cap is None or self.turnover_cap >= 0.0, "zero or more"),
            ("radius", self.radius >= 0.0, "zero or more"),
            ("cap-at", all(0.5 < cap.alpha < 1.0 for cap in self.further_caps), "with a level above 0.5"),
        )
        for name, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} is out of range", where=name, remedy=f"choose a value {allowed}")

    @classmethod
    def from_settings(cls, settings: RiskSettings) -> Mandate:
        """The mandate the settings' risk section describes."""
        try:
            model = ScenarioModel(settings.scenario_model)
        except ValueError:
            raise ConfigError(
                f"unknown scenario model {settings.scenario_model!r}",
                where="risk.scenario_model",
                remedy=f"use one of {', '.join(ScenarioModel)}",
            ) from None
        return cls(
            alpha=settings.cvar_alpha,
            cvar_cap=settings.cvar_cap,
            max_weight=settings.max_weight,
            window=settings.scenario_window,
            least_history=settings.least_history,
            scenarios=ScenarioRecipe(model),
        )

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Mandate:
        """The mandate whose `dataclasses.asdict` went through JSON.

        Raises
        ------
        DataError
            If the record does not describe a mandate of this version.
        """
        try:
            return cls(
                **{
                    **values,
                    "objective": Objective(values["objective"]),
                    "mean": MeanModel(values["mean"]),
                    "scenarios": ScenarioRecipe.from_record(values["scenarios"]),
                    "further_caps": tuple(TailCap(**cap) for cap in values["further_caps"]),
                    "rivals": tuple(ScenarioRecipe.from_record(rival) for rival in values["rivals"]),
                    "ground": GroundNorm(values["ground"]),
                    "views": tuple(View(**view) for view in values.get("views", ())),
                    "covariance": CovarianceModel(values.get("covariance", CovarianceModel.LEDOIT_WOLF)),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"this is no record of a mandate: {error}", where="mandate", remedy="make the weights again"
            ) from error
