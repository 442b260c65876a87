"""What the risk models' lights ask of the desk, in words and tables any report can take."""

from __future__ import annotations

from collections.abc import Sequence

from qtm.reports.formats import percent, ratio
from qtm.reports.page import Cell, Html, Section, Tone, paragraph, table
from qtm.risk.model_backtests import Light, ModelAction, action_for
from qtm.risk.rolling_backtest import EngineVerdict
from qtm.risk.rules import REDUCING

LIGHT_TONES: dict[Light, Tone] = {Light.GREEN: "good", Light.YELLOW: "warn", Light.RED: "bad"}


def light_cell(light: Light | None) -> Cell:
    """A light as a coloured word; a dash where the model was not judged."""
    return Cell("not judged", "muted") if light is None else Cell(light.name.lower(), LIGHT_TONES[light])


def action_words(action: ModelAction) -> str:
    """An action in one sentence."""
    asks = []
    if action.limit_multiplier != 1:
        asks.append(f"limits times {action.limit_multiplier}")
    if action.state == REDUCING:
        asks.append("only orders that shrink positions")
    if action.review:
        asks.append("a review of the model")
    return f"The lights ask for: {', '.join(asks)}." if asks else "The lights ask for nothing."


def lights_paragraph(lights: Sequence[Light]) -> Html:
    """What the worst of these lights asks for; without any, the models count as red."""
    action = action_for(*lights)
    words = action_words(action)
    if not lights:
        words = f"No model could be judged, which counts as red. {words}"
    return paragraph(words, LIGHT_TONES[max(lights, default=Light.RED)])


def engines_section(verdicts: Sequence[EngineVerdict], *, used: str) -> Section:
    """Every rolled engine with its tests and lights; the engine in use decides what is asked for.

    Parameters
    ----------
    used
        Name of the engine whose VaR and ES the limits rely on.
    """
    rows: list[tuple[str | Cell, ...]] = [
        (
            f"{verdict.engine} (in use)" if verdict.engine == used else verdict.engine,
            f"{verdict.exceptions} of {verdict.forecasts}",
            ratio(verdict.expected, 1),
            ratio(verdict.coverage.p_value, 3),
            ratio(verdict.clustering.p_value, 3),
            ratio(verdict.joint.p_value, 3),
            light_cell(verdict.var_light.light),
            ratio(verdict.z2, 2),
            ratio(verdict.z2_p_value, 3),
            light_cell(verdict.shortfall_light),
            " / ".join(str(days) for days in verdict.days_in_zone),
            percent(verdict.mean_var, 1),
            percent(verdict.mean_es, 1),
        )
        for verdict in verdicts
    ]
    headers = (
        "Engine", "VaR 99 % exceptions", "Expected", "Kupiec p", "Independence p", "Joint p", "VaR light",
        "ES 97.5 % Z2", "Z2 p", "ES light", "Years green / yellow / red", "Mean VaR", "Mean ES",
    )  # fmt: skip
    lights = [v.light for v in verdicts if v.engine == used]
    return Section(
        "Risk models on trial",
        [table(headers, rows), lights_paragraph(lights)],
        "Tests over all forecasts, lights over the newest 250; a year is any run of 250 forecasts.",
    )
