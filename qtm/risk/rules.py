"""The gate's numeric limits, one readable line each: the same lines in the backtest and on the live door.

`breaches` is plain arithmetic that runs two ways. The backtest engine compiles it over floats; the live gate
(`qtm.risk.gate`) calls it as it stands over exact `Decimal`s, so that 50,000.00 passes a bound of 50,000 and
50,000.01 does not. Anything missing (NaN) refuses: a limit nobody set, a reference nobody has, an equity
nobody can mark.

Working orders count at their worst case: a buy is added to the position and every working buy, a sell is
taken from the position and every working sell, and the two sides never net. An order that can only shrink
the position is exempt from the exposure limits and the reduce-only state, never from collar, size and message
limits; `at_loss_limit` says whether a loss above its limit stops it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from qtm.compiled import either_way

ACTIVE, REDUCING, HALTED = 0, 1, 2
"""Trading states: all orders, only orders that shrink the position, none (cancels always pass)."""

AT_LOSS_LIMIT = {"reduce": REDUCING, "halt": HALTED}
"""What a loss above its limit leads to, looser first: the state of a scope by the word of the limit file."""

PT_01, PT_03, PT_04, PT_05, PT_07, PT_09, PT_13, PT_20, KS_03 = (1 << bit for bit in range(9))

CONTROL_BITS: dict[int, str] = {
    PT_01: "PT-01",
    PT_03: "PT-03",
    PT_04: "PT-04",
    PT_05: "PT-05",
    PT_07: "PT-07",
    PT_09: "PT-09",
    PT_13: "PT-13",
    PT_20: "PT-20",
    KS_03: "KS-03",
}
"""Which control each bit of `breaches` stands for."""

CONTROL_NAMES: dict[str, str] = {
    "PT-01": "price collar",
    "PT-03": "maximum order value",
    "PT-04": "maximum order volume",
    "PT-05": "message rate",
    "PT-07": "worst-case position",
    "PT-09": "loss limit",
    "PT-13": "market data freshness",
    "PT-20": "reduce-only state",
    "KS-03": "trading halted",
    "PT-06": "repeated automated execution",
    "PT-11": "self-trade prevention",
    "PT-12": "duplicate order",
    "PT-15": "eligibility",
    "PT-16": "order type",
    "PT-17": "venue filters",
    "TD-07": "cap of LIVE_LIMITED",
}
"""What each control is called; those without a bit are checked by the live gate only."""

_ROUNDING = 1e-12


class GateLimits(NamedTuple):
    """The effective limits for one order; NaN means missing and refuses.

    Attributes
    ----------
    max_order_value, max_position_value
        Quote currency; the position is valued at the reference price.
    price_collar
        Largest distance beyond the reference on the aggressive side, as a fraction of the reference.
    max_drawdown, daily_loss
        Fractions of peak equity and of equity at 00:00 UTC. Above 80 % of either only orders that shrink
        the position pass.
    max_messages, message_window_ms
        New orders allowed in the trailing window.
    stale_reference_ms
        Oldest reference price an order may be judged by.
    max_order_qty
        Base units; infinite where the volume is limited elsewhere (the live gate always has a row).
    rounding
        Relative slack that keeps the rounding of floats from turning "equal" into "above"; 0 for Decimals.
    at_loss_limit
        Above 100 % of a loss limit: `HALTED` lets no order pass, `REDUCING` those that shrink the position.
    """

    max_order_value: float
    max_position_value: float
    price_collar: float
    max_drawdown: float
    daily_loss: float
    max_messages: float
    message_window_ms: float
    stale_reference_ms: float
    max_order_qty: float = math.inf
    rounding: float = _ROUNDING
    at_loss_limit: float = HALTED


def in_floats(limits: GateLimits | None) -> GateLimits:
    """The limits of a simulated run, every number a float as the machine code was compiled for.

    Money is a float there, so comparisons get their slack; without a gate (None) every limit is infinite.
    """
    given = GateLimits(*(8 * [math.inf])) if limits is None else limits
    numbers = GateLimits(*map(float, given))
    return numbers._replace(rounding=max(numbers.rounding, _ROUNDING))


class GateView(NamedTuple):
    """What the gate knows when an order arrives: floats inside compiled code, Decimals at the live door.

    `qty` is the signed position in base units; `working_*_qty` what is already sent and may still fill;
    money is in quote currency; `state` is ACTIVE, REDUCING or HALTED.
    """

    reference_price: float
    reference_age_ms: float
    qty: float
    working_buy_qty: float
    working_sell_qty: float
    equity: float
    peak_equity: float
    day_start_equity: float
    messages_in_window: float
    state: int


@either_way
def _above(measured: Any, bound: Any, rounding: Any) -> bool:
    """True when `measured` is above `bound`, or when either is missing."""
    if measured != measured or bound != bound:  # NaN
        return True
    return bool(measured > bound + abs(bound) * rounding)


@either_way
def loss_limit_passed(equity: Any, peak: Any, day_start: Any, limits: Any) -> bool:
    """True when the drawdown or the loss of the day is above its limit, or cannot be known."""
    return bool(
        _above(peak - equity, limits.max_drawdown * peak, limits.rounding)
        or _above(day_start - equity, limits.daily_loss * day_start, limits.rounding)
    )


@either_way
def _not_positive(value: Any) -> bool:
    return bool(value != value or value <= 0)


@either_way
def shrinks(side: int, qty: Any, view: Any) -> bool:
    """True when the order can only bring the position towards zero, whatever else is working."""
    if view.qty > 0:
        return bool(side < 0 and qty + view.working_sell_qty <= view.qty)
    return bool(side > 0 and qty + view.working_buy_qty <= -view.qty)


@either_way
def worst_case_qty(side: int, qty: Any, view: Any) -> Any:
    """Position in the direction of `side` if this order and every working one on that side fill."""
    if side > 0:
        return view.qty + view.working_buy_qty + qty
    return view.working_sell_qty + qty - view.qty


@either_way
def readings(side: int, qty: Any, price: Any, limits: Any, view: Any) -> Any:
    """Per numeric limit, in the order of `CONTROL_BITS`: the pair (measured, highest allowed)."""
    reference = view.reference_price
    drawdown, drawdown_limit = view.peak_equity - view.equity, limits.max_drawdown * view.peak_equity
    day_loss, day_loss_limit = view.day_start_equity - view.equity, limits.daily_loss * view.day_start_equity
    if not shrinks(side, qty, view):
        drawdown_limit, day_loss_limit = drawdown_limit * 4 / 5, day_loss_limit * 4 / 5
    day_is_worse = _above(day_loss, day_loss_limit, limits.rounding)
    return (
        (side * (price - reference), limits.price_collar * reference),  # PT-01
        (qty * price, limits.max_order_value),  # PT-03
        (qty, limits.max_order_qty),  # PT-04
        (view.messages_in_window + 1, limits.max_messages),  # PT-05
        (worst_case_qty(side, qty, view) * reference, limits.max_position_value),  # PT-07
        (day_loss, day_loss_limit) if day_is_worse else (drawdown, drawdown_limit),  # PT-09
        (view.reference_age_ms, limits.stale_reference_ms),  # PT-13
    )


@either_way
def breaches(side: int, qty: Any, price: Any, reduce_only: bool, limits: Any, view: Any) -> int:
    """The controls an order would breach, as a bitmask of `CONTROL_BITS`; 0 means approved.

    Parameters
    ----------
    side
        +1 buy, -1 sell.
    qty, price
        Base units and quote currency, both positive (a limit price, already on the venue's grid).
    reduce_only
        The order claims to shrink the position and is refused if it could do otherwise.
    limits, view
        `GateLimits` and `GateView`, floats inside compiled code and Decimals at the live door.
    """
    mask = 0
    bit = 1
    for measured, bound in readings(side, qty, price, limits, view):
        if _above(measured, bound, limits.rounding):
            mask |= bit
        bit <<= 1
    if shrinks(side, qty, view):
        mask &= ~PT_07
        if limits.at_loss_limit == REDUCING and view.equity == view.equity:
            mask &= ~PT_09
    elif view.state == REDUCING or reduce_only:
        mask |= PT_20
    if not (view.state == ACTIVE or view.state == REDUCING):
        mask |= KS_03
    if _not_positive(qty) or _not_positive(price):
        mask |= PT_03
    if _not_positive(view.reference_price):
        mask |= PT_13
    return mask


@either_way
def halts(mask: int) -> bool:
    """True when a refusal stands until a person lifts it: a halt, or a loss above its limit."""
    return mask & (PT_09 | KS_03) != 0


def mask_of(names: Iterable[str]) -> int:
    """The mask of the controls with these ids; those the live gate alone checks have no bit."""
    return sum(bit for bit, name in CONTROL_BITS.items() if name in set(names))


def controls(mask: int) -> tuple[str, ...]:
    """The control ids in a mask returned by `breaches`."""
    return tuple(name for bit, name in CONTROL_BITS.items() if mask & bit)
