"""Each gate's measured value and what it means in plain words."""

from __future__ import annotations

import dataclasses
import math

from qtm.backtest.overfitting.measurements import Measurements
from qtm.backtest.overfitting.sharpe import (
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
)
from qtm.backtest.overfitting.verdict import BOUNDS, Control, Gate
from qtm.backtest.statistics import DAYS_PER_YEAR


def gates_of(measured: Measurements, max_drawdown: float) -> tuple[Gate, ...]:
    """Every gate held against what was measured; `max_drawdown` bounds the stress events."""
    return (
        _deflated_sharpe(measured),
        _overfitting(measured),
        _superior_ability(measured),
        _doubled_costs(measured),
        *_neighbours(measured),
        _stress(measured, max_drawdown),
    )


def _gate(control: Control, value: float, words: str) -> Gate:
    return Gate(control, value, BOUNDS[control], words)


def _not_measured(control: Control, measured: Measurements, reason: str) -> Gate:
    why = measured.unmeasured.get(reason, "no reason recorded")
    return Gate(control, None, BOUNDS[control], f"Not measured, so not passed: {why}")


def _deflated_sharpe(measured: Measurements) -> Gate:
    sample, counted = measured.sample, measured.counted
    if sample is None:
        return _not_measured(Control.DEFLATED_SHARPE, measured, "sharpe")
    by_luck = counted.best_by_luck
    value = probabilistic_sharpe_ratio(sample, by_luck)
    year = math.sqrt(DAYS_PER_YEAR)
    also = ""
    if counted.aliases:
        also = f" (those of {', '.join(counted.aliases)} among them, which gave the same figures)"
    words = (
        f"Sharpe {sample.ratio * year:.2f} a year over {sample.observations} days, one of "
        f"{counted.trials:,} recorded trials{also}; the luckiest of them would show about "
        f"{by_luck * year:.2f}. The chance that there is skill beyond that luck is {value:.1%}."
    )
    needed = minimum_track_record_length(sample, by_luck)
    if math.isfinite(needed):
        words += f" At this Sharpe ratio {needed:,.0f} days would be convincing."
    if sample.ratio > 0.0 and counted.trials > 1:
        years = minimum_backtest_length(counted.trials, sample.annual(DAYS_PER_YEAR))
        if years > sample.observations / DAYS_PER_YEAR:
            words += f" After so many trials at least {years:,.1f} years of history would be needed."
    return _gate(Control.DEFLATED_SHARPE, value, words)


def _overfitting(measured: Measurements) -> Gate:
    found = measured.overfitting
    if found is None:
        return _not_measured(Control.OVERFITTING, measured, "overfitting")
    words = (
        f"In {found.probability:.1%} of {found.splits:,} ways to halve the history, the parameters that were "
        f"best in one half were in the worse half of all trials in the other; they lost money there in "
        f"{found.probability_of_loss:.1%}."
    )
    return _gate(Control.OVERFITTING, found.probability, words)


def _superior_ability(measured: Measurements) -> Gate:
    found = measured.ability
    if found is None:
        return _not_measured(Control.SUPERIOR_ABILITY, measured, "ability")
    words = (
        f"If no trial could beat cash, a best one this good would still appear with probability "
        f"{found.consistent:.1%} (Hansen; between {found.lower:.1%} and {found.upper:.1%}; White "
        f"{found.reality_check:.1%})."
    )
    if measured.ability_over_holding is not None:
        words += f" Against buying and holding: {measured.ability_over_holding.consistent:.1%}."
    return _gate(Control.SUPERIOR_ABILITY, found.consistent, words)


def _doubled_costs(measured: Measurements) -> Gate:
    value = measured.doubled_return
    if value == 0.0:
        words = "Not measured, so not passed: it never traded."
        return Gate(Control.DOUBLED_COSTS, None, BOUNDS[Control.DOUBLED_COSTS], words)
    outcome = "still earns" if value > 0.0 else "does not earn"
    return _gate(
        Control.DOUBLED_COSTS, value, f"With fees and slippage twice as high it {outcome}: {value:+.1%}."
    )


def _neighbours(measured: Measurements) -> tuple[Gate, Gate]:
    box = measured.box
    if box is None:
        return (
            _not_measured(Control.NEIGHBOURS_EARN, measured, "box"),
            _not_measured(Control.NEIGHBOURS_KEEP, measured, "box"),
        )
    earn = (
        f"{box.profitable:.0%} of {box.neighbours.height} neighbours within 20 % of the parameters earn "
        f"money; the worst ends at {box.worst_return:+.1%}."
    )
    keep = (
        f"The typical neighbour keeps {box.kept:.0%} of the Sharpe ratio: the choice stands on "
        f"{'a plateau' if box.stable else 'a needle'}."
    )
    return (
        _gate(Control.NEIGHBOURS_EARN, box.profitable, earn),
        _gate(Control.NEIGHBOURS_KEEP, box.kept, keep),
    )


def _stress(measured: Measurements, max_drawdown: float) -> Gate:
    bound = dataclasses.replace(BOUNDS[Control.STRESS], value=max_drawdown)
    if measured.sample is None or not measured.stress:
        why = "it never traded"
        if measured.doubled_return != 0.0:
            why = measured.unmeasured.get("sharpe", "the history covers none of the dated stress events")
        return Gate(Control.STRESS, None, bound, f"Not measured, so not passed: {why}.")
    worst = measured.stress[0]
    words = (
        f"Of {len(measured.stress)} stress events the history covers, {worst.name} hurts most: down "
        f"{worst.worst_fall:.1%} at the worst prices, while the market closed {worst.market_return:+.1%}."
    )
    return Gate(Control.STRESS, worst.worst_fall if worst.worst_equity > 0.0 else 1.0, bound, words)
