"""What the risk models' lights ask of the desk, in words and tables any report can take."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtm.reports.blocks import Cell, Paragraph, Section, Tone, paragraph, table
from qtm.reports.formats import MISSING, percent, ratio
from qtm.risk.lights import Light, ModelAction, action_for
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


def lights_paragraph(lights: Sequence[Light]) -> Paragraph:
    """What the worst of these lights asks for; without any, the models count as red."""
    action = action_for(*lights)
    words = action_words(action)
    if not lights:
        words = f"No model could be judged, which counts as red. {words}"
    return paragraph(words, LIGHT_TONES[max(lights, default=Light.RED)])


def engines_section(verdicts: Sequence[EngineVerdict], *, used: Collection[str]) -> Section:
    """Every rolled engine with its tests and lights; the worst of those in use decides what is asked for.

    Parameters
    ----------
    used
        Names of the engines whose VaR and ES the limits rely on.
    """
    names = [f"{v.engine} (in use)" if v.engine in used else v.engine for v in verdicts]
    var_rows: list[tuple[str | Cell, ...]] = [
        (
            name,
            f"{v.exceptions} of {v.forecasts}",
            ratio(v.expected, 1),
            ratio(v.coverage.p_value, 3),
            ratio(v.clustering.p_value, 3),
            ratio(v.joint.p_value, 3),
            " / ".join(str(days) for days in v.days_in_zone),
            percent(v.mean_var, 1),
            light_cell(v.var_light.light),
        )
        for name, v in zip(names, verdicts, strict=True)
    ]
    es_rows: list[tuple[str | Cell, ...]] = [
        (
            name,
            MISSING if v.z1 is None else ratio(v.z1, 3),
            ratio(v.z2, 3),
            ratio(v.z2_p_value, 3),
            f"{ratio(v.recent_z2)} ({ratio(v.z2_yellow_below)} / {ratio(v.z2_red_below)})",
            percent(v.mean_es, 1),
            light_cell(v.shortfall_light),
        )
        for name, v in zip(names, verdicts, strict=True)
    ]
    var_headers = (
        "VaR 99 %", "Exceptions", "Expected", "Kupiec p", "Independence p", "Joint p",
        "Years green / yellow / red", "Mean", "Light",
    )  # fmt: skip
    es_headers = (
        "ES 97.5 %", "Acerbi-Szekely Z1", "Z2", "Z2 p", "Z2 of the last 250 (yellow / red below)", "Mean",
        "Light",
    )  # fmt: skip
    lights = [v.light for v in verdicts if v.engine in used]
    return Section(
        "Risk models on trial",
        [table(var_headers, var_rows), table(es_headers, es_rows), lights_paragraph(lights)],
        "Tests over all forecasts, lights over the newest 250; a year is any run of 250 forecasts.",
    )
