"""The catalogue of checks: what is measured per symbol, what is allowed, and what a failure means.

A check bounds one number of a symbol's profile (see `qtm.quality.profile`). A *blocking* failure puts the
stretch of time it concerns into quarantine, and no backtest runs over it unless somebody waives it by name;
a *warning* is shown and stored. Great Expectations judges the same bounds (see `qtm.quality.suite`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qtm.market.bars import BarKind
from qtm.market.intervals import Interval

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Check:
    """One bound on one number of a symbol's profile.

    Attributes
    ----------
    name
        What holds when the check passes.
    metric
        The column of the profile it bounds.
    low, high
        Least and greatest value allowed; None is unbounded.
    spans
        Names the query that finds the stretches of time at fault (see `qtm.quality.spans`); empty when the
        failure concerns the whole window.
    remedy
        What to do about a failure.
    """

    name: str
    metric: str
    description: str
    blocking: bool
    high: float | None = 0.0
    low: float | None = None
    spans: str = ""
    remedy: str = "ingest the window again with --refresh"

    @property
    def severity(self) -> str:
        """`blocking` or `warning`."""
        return "blocking" if self.blocking else "warning"

    def is_broken_by(self, profile: Mapping[str, Any]) -> bool:
        """True when a profile's number is out of bounds; a number that is absent breaks nothing."""
        value = profile.get(self.metric)
        if value is None:
            return False
        return (self.high is not None and value > self.high) or (self.low is not None and value < self.low)

    @property
    def allowed(self) -> str:
        """The bound as a person reads it."""
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


def pause_ms(interval: Interval) -> int:
    """The longest stretch without bars that still counts as an outage: a day, or three bars if longer."""
    return max(DAY_MS, 3 * interval.ms)


def jump_sigmas(interval: Interval) -> float:
    """Robust standard deviations a bar's return may measure; shorter bars have fatter tails."""
    return 100.0 if interval.ms < Interval.H1.ms else 40.0


def stale_bars(interval: Interval) -> int:
    """Bars in a row that may repeat one price without a trade of another."""
    return max(3, 2 * 3_600_000 // interval.ms)


REUSE_RATIO = 5.0
"""A price that returns from a pause more than this many times higher or lower is another instrument's."""

SCALE_RATIO = 20.0
"""No bar opens or closes this many times away from the last close: that is a wrong decimal point."""

OTHER_ZERO_VOLUME = 0.001
"""Share of bars without a trade that is ordinary for a liquid pair."""

LARGEST_FUNDING_RATE = 0.04
"""Beyond Binance's widest cap of 3 % per interval."""

FUNDING_JITTER_MS = 60_000
"""Funding is stamped up to some seconds after its hour."""

_WAIVE = "ingest it from another source, cut the window, or waive it by name with `qtm quality waive`"


def bar_checks(interval: Interval, kind: BarKind = BarKind.TRADE) -> tuple[Check, ...]:
    """The checks of a bar table, blocking ones first."""
    checks = [
        Check("has_rows", "rows", "the window holds at least one bar", True, high=None, low=1,
              remedy="ingest the window"),
        Check("values_complete", "incomplete", "no value is null, NaN or infinite", True, spans="incomplete"),
        Check("prices_positive", "non_positive", "every price is above zero", True, spans="non_positive"),
        Check("ohlc_consistent", "bad_ohlc", "high and low enclose open and close", True, spans="bad_ohlc"),
        Check("times_unique", "duplicates", "no two bars share an open time", True, spans="duplicates"),
        Check("times_on_grid", "off_grid", f"bars open on whole {interval} marks", True, spans="off_grid",
              remedy=_WAIVE),
        Check("no_long_gap", "longest_gap_ms", "no stretch without bars longer than "
              f"{pause_ms(interval) // 3_600_000} h", True, high=pause_ms(interval), spans="long_gap",
              remedy=_WAIVE),
        Check("same_instrument", "reuse_ratio", "the price after a long pause is within a factor of "
              f"{REUSE_RATIO:g} of the price before it", True, high=REUSE_RATIO, spans="reuse",
              remedy="the symbol was probably given to another coin: start after the pause, or waive it"),
        Check("scale_kept", "largest_ratio", "no price is a factor of "
              f"{SCALE_RATIO:g} away from the bar before", True, high=SCALE_RATIO, spans="scale",
              remedy=_WAIVE),
        Check("no_gap", "missing", "no bar is missing between the first and the last", False, spans="gap",
              remedy="a hole in the archive is mended by `qtm ingest --fill`; an outage stays"),
        Check("window_covered", "uncovered", "the first and the last bar of the window are there", False,
              spans="uncovered", remedy="listed or delisted inside the window, or not ingested yet"),
        Check("no_jump", "jumps", f"no return beyond {jump_sigmas(interval):g} robust standard deviations",
              False, spans="jump", remedy="look at the times shown beside another venue's"),
        Check("not_stale", "longest_stale", f"no price repeated over more than {stale_bars(interval)} bars",
              False, high=stale_bars(interval), spans="stale", remedy="the feed stood still then"),
    ]  # fmt: skip
    if kind is BarKind.TRADE:
        checks += [
            Check("volume_not_negative", "negative_volume", "no volume is below zero", True,
                  spans="negative_volume"),
            Check("mostly_traded", "untraded_share", "at most one bar in a thousand has no trade", False,
                  high=OTHER_ZERO_VOLUME, spans="untraded",
                  remedy="fills in these bars are not to be believed"),
            Check("quote_volume_plausible", "odd_quote_volume", "quote volume lies between low x volume and "
                  "high x volume", False, spans="odd_quote_volume"),
            Check("taker_within_volume", "odd_taker", "taker volume does not exceed volume", False,
                  spans="odd_taker"),
        ]  # fmt: skip
    return tuple(sorted(checks, key=lambda check: not check.blocking))


def funding_checks() -> tuple[Check, ...]:
    """The checks of a funding table."""
    return (
        Check("has_rows", "rows", "the window holds at least one rate", True, high=None, low=1,
              remedy="ingest the window"),
        Check("values_complete", "incomplete", "no value is null, NaN or infinite", True, spans="incomplete"),
        Check("times_unique", "duplicates", "no two rates share a time", True, spans="duplicates"),
        Check("rates_plausible", "implausible", f"no rate is beyond {LARGEST_FUNDING_RATE:.0%}", True,
              spans="implausible"),
        Check("interval_known", "unknown_interval", "the interval is 1, 2, 4 or 8 hours", True,
              spans="unknown_interval"),
        Check("no_missing_funding", "missing", "no two rates are further apart than their interval", True,
              spans="missing", remedy="a perpetual needs every payment: ingest it or cut the window"),
        Check("interval_kept", "short_steps", "no two rates are closer than their interval", False,
              spans="short_steps", remedy="the venue changed the interval: read the time shown"),
        Check("on_the_hour", "late", "funding is stamped within a minute of its hour", False, spans="late"),
    )  # fmt: skip


def instrument_checks() -> tuple[Check, ...]:
    """The checks of the instruments table."""
    return (
        Check("has_rows", "rows", "the symbol has an instrument", True, high=None, low=1,
              remedy="`qtm ingest instruments`"),
        Check("grids_positive", "bad_grid", "tick and step are above zero", True),
        Check("bounds_consistent", "bad_bounds", "least quantity and price do not exceed the greatest", True),
        Check("on_own_grid", "off_own_grid", "least quantity is a whole number of steps", True),
        Check("filters_from_venue", "packaged", "the filters came from the venue", False,
              remedy="ingest instruments with the venue reachable before trading live"),
        Check("tradable", "not_trading", "the venue lets it trade", False, remedy="take it off the universe"),
    )  # fmt: skip
