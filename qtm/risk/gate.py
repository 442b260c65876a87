"""The one door: every order of every run passes here, or does not pass.

The gate is pure (no clock, no disk, no network), synchronous and fail-closed. It starts HALTED and is armed
once per run, after reconciliation. Every check runs on every order and every finding is kept. An approved
order is reserved at once, so orders that arrive together cannot share the same headroom.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qtm.market.instruments import Instrument
from qtm.risk.decisions import ApprovedOrder, Decision, Finding, Refused
from qtm.risk.exposure import UNKNOWN, Exposure
from qtm.risk.limit_file import Firm
from qtm.risk.limited import LimitedLive
from qtm.risk.limits import EffectiveLimits, LimitTree
from qtm.risk.rules import (
    ACTIVE,
    CONTROL_BITS,
    HALTED,
    KS_03,
    PT_20,
    REDUCING,
    GateView,
    breaches,
    readings,
    shrinks,
)
from qtm.risk.tail_limit import TailLimit
from qtm.trading.orders import Fill, OrderIntent, OrderType, Purpose, Side, TimeInForce

PAPER = "paper"
STATE_NAMES = ("ACTIVE", "REDUCING", "HALTED")

_PROTECTIVE_FORMS = frozenset(
    {
        (OrderType.STOP_LOSS_LIMIT, TimeInForce.GTC, True),
        (OrderType.LIMIT_MAKER, None, False),
        (OrderType.LIMIT, TimeInForce.IOC, False),
    }
)
"""Type, time in force, and whether it waits for a stop price."""

_LIMIT_OF = {
    "PT-01": "price_collar",
    "PT-03": "max_order_value",
    "PT-04": "max_order_qty",
    "PT-05": "max_messages",
    "PT-07": "max_position_value",
    "PT-09": "max_drawdown",
    "PT-13": "stale_reference_ms",
}


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of trading state, by the gate itself or by somebody."""

    before: int
    after: int
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Latch:
    """A kill in force: `scope` is firm, strategy or symbol; `target` names which (empty for firm)."""

    scope: str
    target: str

    def holds(self, intent: OrderIntent) -> bool:
        """True when the latch blocks `intent`; an unknown scope blocks everything."""
        if self.scope == "strategy":
            return intent.strategy == self.target
        if self.scope == "symbol":
            return intent.symbol == self.target
        return True


class Gate:
    """Checks and reserves orders of one account.

    Parameters
    ----------
    tree
        The limits in force.
    instruments
        What may be traded, with the venue's filters.
    exposure
        The account after reconciliation; the gate keeps it up to date from then on.
    tail
        The CVaR budget of the account, if it has one.
    venue
        Where the orders go; anything but `paper` needs a sign-off in the limit file.
    limited
        The caps of limited live trading, if the strategy stands there; their order and position value are
        part of the `tree`.
    """

    def __init__(
        self,
        tree: LimitTree,
        instruments: Iterable[Instrument],
        exposure: Exposure,
        tail: TailLimit | None = None,
        *,
        venue: str = PAPER,
        limited: LimitedLive | None = None,
    ) -> None:
        self.tree = tree
        self.venue = venue
        self.exposure = exposure
        self.tail = tail
        self.limited = limited
        self.state = HALTED
        self.latches: frozenset[Latch] = frozenset()
        self._instruments = {one.symbol: one for one in instruments}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def arm(self, at_ms: int, reason: str) -> StateChange:
        """Let orders through: once per run, after the account agrees with the venue."""
        return self._enter(ACTIVE, reason, at_ms)

    def reduce(self, at_ms: int, reason: str) -> StateChange:
        """Let only orders through that shrink a position; never loosens a halt."""
        return self._enter(max(self.state, REDUCING), reason, at_ms)

    def halt(self, at_ms: int, reason: str) -> StateChange:
        """Let no order through until a person arms a new run."""
        return self._enter(HALTED, reason, at_ms)

    def latch(self, latches: Iterable[Latch]) -> None:
        """Replace the kills in force by those the store holds."""
        self.latches = frozenset(latches)

    def is_latched(self, intent: OrderIntent) -> bool:
        """Whether a kill in force holds an order."""
        return any(latch.holds(intent) for latch in self.latches)

    def check(
        self, intent: OrderIntent, now_ms: int, inputs: Mapping[str, Any] | None = None
    ) -> ApprovedOrder | Refused:
        """Judge one order at `now_ms`; an approved one is reserved before this returns."""
        with self._lock:
            limits = self.tree.effective(intent.strategy, intent.symbol)
            view = self._view(intent, now_ms, Decimal(limits.limits.message_window_ms))
            findings = (
                *self._numeric(intent, view, limits),
                *self._formal(intent, view, now_ms),
                *self._tail(intent, view, now_ms),
                *(() if self.limited is None else self.limited.findings(intent, now_ms)),
            )
            approved = all(finding.passed for finding in findings)
            mark = self.exposure.marks.get(intent.symbol)
            decision = Decision(
                intent=intent,
                approved=approved,
                findings=findings,
                limits_version=limits.version,
                now_ms=now_ms,
                reference_price=mark[0] if mark else None,
                reference_ms=mark[1] if mark else None,
                inputs=inputs or {},
            )
            self._seen.add(intent.client_order_id)
            if not approved:
                return Refused(intent, decision)
            self.exposure.reserve(intent, now_ms)
            return ApprovedOrder(intent, decision)

    def restore(self, intent: OrderIntent, sent_ms: int) -> None:
        """Reserve an order approved before a restart that may still be working."""
        with self._lock:
            self._seen.add(intent.client_order_id)
            self.exposure.reserve(intent, sent_ms)

    def on_fill(self, fill: Fill) -> None:
        """Move position and cash by an execution; call once per trade id."""
        with self._lock:
            self.exposure.fill(fill)

    def on_terminal(self, client_order_id: str) -> None:
        """Release what an order reserved."""
        with self._lock:
            self.exposure.release(client_order_id)

    def on_price(self, symbol: str, price: Decimal, ts_ms: int) -> StateChange | None:
        """Mark the account; halts and says so when a firm loss limit that halts is broken (PT-09)."""
        with self._lock:
            equity = self.exposure.mark(symbol, price, ts_ms)
        firm = self.tree.file.firm
        if self.state == HALTED or equity.is_nan() or firm.at_loss_limit == "reduce":
            return None
        for name, top, share in (
            ("drawdown", self.exposure.peak, firm.max_drawdown),
            ("daily loss", self.exposure.day_start, firm.daily_loss),
        ):
            if share is not None and top - equity > share * top:
                return self.halt(
                    ts_ms, f"PT-09 {name}: equity {equity:f} fell more than {share:f} below {top:f}"
                )
        return None

    def _enter(self, state: int, reason: str, at_ms: int) -> StateChange:
        with self._lock:
            change = StateChange(self.state, state, reason, at_ms)
            self.state = state
            return change

    def _view(self, intent: OrderIntent, now_ms: int, window_ms: Decimal) -> GateView:
        mark = self.exposure.marks.get(intent.symbol)
        exact: Any = (
            mark[0] if mark else UNKNOWN,
            Decimal(now_ms - mark[1]) if mark else UNKNOWN,
            self.exposure.positions.get(intent.symbol, Decimal(0)),
            self.exposure.working_qty(intent.symbol, Side.BUY),
            self.exposure.working_qty(intent.symbol, Side.SELL),
            self.exposure.equity(),
            self.exposure.peak,
            self.exposure.day_start,
            Decimal(self.exposure.messages_since(now_ms - int(window_ms))),
            HALTED if self.is_latched(intent) else self.state,
        )
        return GateView(*exact)

    def _numeric(self, intent: OrderIntent, view: GateView, limits: EffectiveLimits) -> tuple[Finding, ...]:
        """The rule table of `qtm.risk.rules`, with exact decimals."""
        price = intent.price if intent.price is not None else UNKNOWN
        if intent.stop_price is not None:  # its collar is measured from where it wakes up
            view = view._replace(reference_price=_stop_reference(intent, view))
        order = (intent.side.sign, intent.qty, price)
        mask = breaches(*order, intent.reduce_only, limits.limits, view)
        rows = readings(*order, limits.limits, view)
        found = [
            Finding(control, not mask & bit, _text(measured), _text(bound), _origin(control, limits))
            for (bit, control), (measured, bound) in zip(CONTROL_BITS.items(), rows, strict=False)
        ]
        state = STATE_NAMES[view.state]
        found.append(Finding("PT-20", not mask & PT_20, state, "ACTIVE, or shrinking", "trading state"))
        found.append(
            Finding("KS-03", not mask & KS_03, state, "not HALTED", "trading state and kill latches")
        )
        return tuple(found)

    def _tail(self, intent: OrderIntent, view: GateView, now_ms: int) -> tuple[Finding, ...]:
        """The CVaR budget, where there is one."""
        if self.tail is None:
            return ()
        shrinking = shrinks(intent.side.sign, intent.qty, view)
        equity: Any = view.equity  # a Decimal at the live door
        return (self.tail.finding(intent, self.exposure, equity, now_ms, shrinks=shrinking),)

    def _formal(self, intent: OrderIntent, view: GateView, now_ms: int) -> tuple[Finding, ...]:
        """Controls on the order's form and company: repeats, crossing, duplicates, eligibility, filters."""
        firm = self.tree.file.firm
        protects = intent.purpose is Purpose.PROTECTION
        repeats = self.exposure.repeats_since(intent, now_ms - firm.repeat_window_ms) + (not protects)
        pace = f"{firm.repeat_orders} per {firm.repeat_window_ms} ms"
        crossed = self.exposure.crossed_by(intent)
        new = intent.client_order_id not in self._seen
        signoff = self._signoff(intent, view, now_ms)
        allowed = [kind.value for kind in firm.order_types] + [tif.value for tif in firm.time_in_force]
        form = f"{intent.type.value} {intent.time_in_force.value if intent.time_in_force else '-'}"
        listed = _is_protective(intent) if protects else _is_listed(intent, firm)
        broken = _broken_filter(intent, self._instruments.get(intent.symbol))
        return (
            Finding("PT-06", repeats <= firm.repeat_orders, str(repeats), pace, "firm"),
            Finding("PT-11", not crossed, crossed or "none", "no own order to trade with", "gate"),
            Finding("PT-12", new, intent.client_order_id, "an id not seen before", "gate"),
            Finding("PT-15", bool(signoff), signoff or "no sign-off", f"eligible at {self.venue}", "limits"),
            Finding("PT-16", listed and intent.price is not None, form, ", ".join(allowed), "firm"),
            Finding("PT-17", not broken, broken or "every filter", "exchangeInfo", "venue"),
        )

    def _signoff(self, intent: OrderIntent, view: GateView, now_ms: int) -> str:
        """Why the order may be sent at all: paper, a sign-off valid today, or because it only shrinks."""
        if self.venue == PAPER:
            return PAPER
        found = self.tree.signoff(self.venue, intent.strategy, intent.symbol, now_ms)
        shrinking = shrinks(intent.side.sign, intent.qty, view)
        return found or ("shrinks the position" if shrinking else "")


def _origin(control: str, limits: EffectiveLimits) -> str:
    return limits.origins[_LIMIT_OF[control]]


def _is_listed(intent: OrderIntent, firm: Firm) -> bool:
    """An order towards a target: of the firm's types, and never one that waits for a stop price."""
    in_force = intent.time_in_force is None or intent.time_in_force in firm.time_in_force
    return intent.type in firm.order_types and in_force and intent.stop_price is None


def _is_protective(intent: OrderIntent) -> bool:
    """An order of `qtm.execution.protection`: it may only shrink, in one of three forms."""
    form = (intent.type, intent.time_in_force, intent.stop_price is not None)
    return intent.reduce_only and form in _PROTECTIVE_FORMS


def _stop_reference(intent: OrderIntent, view: GateView) -> Any:
    """The stop price, as long as the market's own price is known."""
    reference: Any = view.reference_price
    return reference if reference.is_nan() else intent.stop_price


def _text(value: Decimal) -> str:
    return "missing" if value.is_nan() else f"{value:f}"


def _broken_filter(intent: OrderIntent, instrument: Instrument | None) -> str:
    """The venue filter `intent` breaks, in words; empty when it keeps all of them."""
    if instrument is None:
        return f"{intent.symbol} is not on the list of instruments"
    if intent.price is None:
        return "no price"
    prices = [one for one in (intent.price, intent.stop_price, intent.take_profit) if one is not None]
    off = next((one for one in prices if one % instrument.tick_size != 0), None)
    notional = min(prices) * intent.qty
    rules = (
        (instrument.status == "TRADING", f"status {instrument.status}"),
        (off is None, f"price {off} off tick {instrument.tick_size:f}"),
        (
            intent.qty % instrument.step_size == 0,
            f"quantity {intent.qty:f} off step {instrument.step_size:f}",
        ),
        (intent.qty >= instrument.min_qty, f"quantity {intent.qty:f} under {instrument.min_qty:f}"),
        (intent.qty <= instrument.max_qty, f"quantity {intent.qty:f} over {instrument.max_qty:f}"),
        (notional >= instrument.min_notional, f"notional {notional:f} under {instrument.min_notional:f}"),
        (
            not instrument.max_notional or notional <= instrument.max_notional,
            f"notional {notional:f} too large",
        ),
        (not instrument.min_price or min(prices) >= instrument.min_price, "price under the venue's minimum"),
        (not instrument.max_price or max(prices) <= instrument.max_price, "price over the venue's maximum"),
    )
    return next((words for kept, words in rules if not kept), "")
