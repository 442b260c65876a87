"""What a target means at a close under a sizing rule: the same compiled function in engines and stream.

It reads closed bars only, and as many of them as the rule's window; equity and its maximum are the book's
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.compiled import compiled
from qtm.risk.sizing import (
    CVAR,
    KELLY,
    RANGE_RISK,
    UNSIZED,
    VOLATILITY,
    Sizer,
    SizingRule,
    SizingView,
    sized_amount,
)
from qtm.risk.sizing_view import measured, scratch_for
from qtm.trading.book import SIZE_BY_WEIGHT, Sizing


class SizingBars(NamedTuple):
    """Bars a rule may look back on: `before` rows from earlier runs, then those of this one; NaN for no bar.

    `highs`, `lows` and `closes` have shape (before + T, N); `scratch` is room to measure in, for one thread.
    """

    highs: npt.NDArray[np.float64]
    lows: npt.NDArray[np.float64]
    closes: npt.NDArray[np.float64]
    before: int
    scratch: npt.NDArray[np.float64]

    def for_another_thread(self) -> SizingBars:
        """The same bars with room of their own to measure in."""
        return self._replace(scratch=np.empty_like(self.scratch))


NO_RULE = SizingRule()


def base_and_rule(sizing: Sizing | Sizer, base: Sizing = Sizing()) -> tuple[Sizing, SizingRule]:
    """What a target means as compiled code takes it: without a rule, and the rule that scales `base`."""
    if isinstance(sizing, Sizing):
        return Sizing(int(sizing.mode), float(sizing.amount), float(sizing.drift)), NO_RULE
    return base, sizing.rule


def sizing_in_words(sizing: Sizing | Sizer) -> dict[str, Any]:
    """What a lineage says of it: mode, amount and drift, or the rule's name and settings."""
    if isinstance(sizing, Sizing):
        return dict(sizing._asdict())
    return {"rule": str(sizing).partition(":")[0], **sizing.settings()}


def sizing_as_params(words: Mapping[str, Any]) -> dict[str, float]:
    """A rule of `sizing_in_words` among a trial's parameters, as `sizing.volatility.target`; else nothing."""
    if "rule" not in words:
        return {}
    return {f"sizing.{words['rule']}.{name}": float(v) for name, v in words.items() if name != "rule"}


def sizing_as_text(words: Mapping[str, Any]) -> str:
    """What `sizing_in_words` gave, for a person: `0.5 × equity`, `volatility target 0.01, cap 1 ...`."""
    if "rule" in words:
        settings = ", ".join(f"{name} {value:g}" for name, value in words.items() if name != "rule")
        return f"rule {words['rule']}: {settings}"
    of_what = "equity" if words["mode"] == SIZE_BY_WEIGHT else "units"
    return f"{words['amount']:g} × {of_what}"


def bars_to_measure(rule: SizingRule, tables: Sequence[npt.NDArray[np.float64]], before: bytes) -> SizingBars:
    """The bars of a run and those a snapshot brought, shape (before + T, N) each; empty without a rule.

    `tables` are highs, lows and closes of shape (T, N), `before` what `last_seen` gave.
    """
    if rule.kind == UNSIZED:
        nothing = np.empty((0, 0))
        return SizingBars(nothing, nothing, nothing, 0, nothing)
    columns = tables[0].shape[1]
    past = np.frombuffer(before).reshape(3, -1, columns)
    joined = [np.ascontiguousarray(np.concatenate(both)) for both in zip(past, tables, strict=True)]
    return SizingBars(joined[0], joined[1], joined[2], past.shape[1], scratch_for(rule.window))


def last_seen(rule: SizingRule, bars: SizingBars) -> bytes:
    """The rows the next run may look back on, for a snapshot."""
    if rule.kind == UNSIZED:
        return b""
    return np.stack([table[-rule.window :] for table in bars[:3]]).tobytes()


@compiled
def sized_target(
    base: Sizing,
    rule: SizingRule,
    bars: SizingBars,
    column: int,
    at: int,
    equity: float,
    peak_equity: float,
    stop_price: float,
    largest_value: float,
) -> Sizing:
    """What a target means at the close of row `at` of this run.

    Parameters
    ----------
    base
        What it means without the rule, by weight.
    column
        Which instrument of `bars`.
    equity, peak_equity
        Quote currency, now and at its running maximum.
    stop_price
        Protective stop of the position, 0 for none.
    largest_value
        Most the position may be worth at the close; infinite without a limit.

    Returns
    -------
    Sizing
        By weight, its amount NaN when the rule does not know enough yet.
    """
    now = bars.before + at
    atr = volatility = mean = deviation = observations = unit_cvar = np.nan
    if rule.kind in (RANGE_RISK, VOLATILITY, CVAR, KELLY):
        scratch = bars.scratch
        first, row = scratch.shape[1], now
        while row >= 0 and first > scratch.shape[1] - rule.window:
            if bars.closes[row, column] == bars.closes[row, column]:
                first -= 1
                scratch[0, first], scratch[1, first] = bars.highs[row, column], bars.lows[row, column]
                scratch[2, first] = bars.closes[row, column]
            row -= 1
        atr, volatility, mean, deviation, observations, unit_cvar = measured(scratch, first)
    stop = stop_price if stop_price > 0.0 else np.nan
    view = SizingView(
        equity, bars.closes[now, column], peak_equity, stop, 0.0,
        atr, volatility, mean, deviation, observations, unit_cvar,
    )  # fmt: skip
    return Sizing(SIZE_BY_WEIGHT, sized_amount(base.amount, rule, view, largest_value), rule.drift)
