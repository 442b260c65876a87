"""What an account run knows, as arrays of records for compiled code.

A *leg* is the sub-book of one strategy on one instrument. A *sleeve* is a strategy's share of the account,
with a purse per market (spot cash, futures margin) that its legs share. A *quote* is an instrument. Each
record holds what never changes during a run next to what does; `CHANGING` names the latter, whose bytes are a
run's snapshot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.intrabar import CAUSES
from qtm.backtest.session import ORDER_STATUS, SESSION
from qtm.compiled import either_way
from qtm.risk.rules import GateLimits
from qtm.risk.sizing import SizingRule
from qtm.trading.book import SUB_BOOK, Grid, Sizing
from qtm.trading.costs import CostModel
from qtm.trading.margin import Margin

Records = npt.NDArray[np.void]

SPOT, MARGIN = 0, 1
"""The purses of a sleeve."""

UNFUNDED = len(ORDER_STATUS)
ACCOUNT_STATUS = (*ORDER_STATUS, "UNFUNDED")
"""As `ORDER_STATUS`, and: dropped at the open because its sleeve's cash had gone to orders before it."""

DELISTED = len(CAUSES)
ACCOUNT_CAUSES = (*CAUSES, "delisting")

MOST_BRACKETS = 16

NOBODY = -1


def _floats(*names: str) -> list[tuple[str, str]]:
    return [(name, "f8") for name in names]


ACCOUNT = np.dtype(
    [
        ("strategies", "i8"),
        ("gated", "?"),
        ("netted", "?"),
        ("funded", "?"),
        ("margined", "?"),
        ("isolated", "?"),
        *_floats("band", "haircut"),
        ("interval_ms", "i8"),
        ("trade_from_ms", "i8"),
        ("write_off_ms", "i8"),
        ("written", "i8"),
        ("bars", "i8"),
        ("working", "i8"),
        ("queued", "i8"),
        ("unmet", "i8"),
        ("held", "i8"),
        ("invested", "i8"),
        ("watched", "?"),
        ("impacted", "?"),
        ("absent", "i8"),
        ("dead", "i8"),
        ("seen_ms", "i8"),
        ("insured", "f8"),
        ("limits", "f8", (len(GateLimits._fields),)),
    ],
    align=True,
)
"""The whole account: its rules and counters.

`working` counts instruments with an order, `unmet` legs with an unmet target, `queued` those of them that
have a close to trade on, `held` legs with a position, `invested` those with a lot or more; `watched` tells
that an exit or a liquidation may be met inside the next bar; `absent` counts listed instruments without a
bar, `dead` those written off; `insured` is the debt a venue's insurance fund took over at liquidations;
`written` counts the orders in the ledger; `limits` are the firm's.
"""

SLEEVE = np.dtype(
    [
        ("first", "i8"),
        ("last", "i8"),
        ("mode", "i8"),
        *_floats("amount", "drift"),
        ("rule", "f8", (len(SizingRule._fields),)),
        ("cash", "f8", (2,)),
        ("limits", "f8", (len(GateLimits._fields),)),
    ],
    align=True,
)
"""A strategy's share: its legs `first` to `last` (exclusive), what a target means, its purses and limits."""

QUOTE = np.dtype(
    [
        *_floats("close", "variance"),
        ("seen_ms", "i8"),
        ("gone", "?"),
        ("wants", "?"),
        ("side", "i8"),
        ("since_ms", "i8"),
        *_floats("buy_limit", "sell_limit", "wallet", "cost"),
        *_floats("tick_size", "step_size", "min_qty", "min_notional"),
        ("spot", "?"),
        ("purse", "i8"),
        ("first_leg", "i8"),
        ("taken_lots", "f8"),
        ("taken_bar", "i8"),
        *((name, "i8" if name == "fee_in" else "f8") for name in CostModel._fields),
        *_floats("leverage", "maintenance_rate", "liquidation_fee"),
        ("brackets", "f8", (MOST_BRACKETS, 4)),
        ("limits", "f8", (len(GateLimits._fields),)),
    ],
    align=True,
)
"""An instrument: its last close, the order that works on it, its grid, costs, margin and the firm's limits.

`close` and `seen_ms` follow the account's marks only when something asks for them. The order is the net of
its legs; `side` 0 means that they cross exactly. `first_leg` begins the chain of its legs, which goes on with
each leg's `next`. Of the account's isolated position in it `wallet` is the margin set aside and `cost` what
was paid for it (negative for a short), both 0.0 on cross margin. `taken_lots` of bar number `taken_bar` have
gone to the account's orders.
"""

LEG = np.dtype(
    [
        ("instrument", "i8"),
        *((name, SUB_BOOK.fields[name][0]) for name in SUB_BOOK.names),  # type: ignore[index,union-attr]
        ("strategy", "i8"),
        ("next", "i8"),
        ("armed", "?"),
        ("relisted", "?"),
        ("giving_up", "?"),
        ("leaving", "i8"),
        ("left_bar", "i8"),
        *_floats("stop", "take_profit", "trail", "trail_level", "variance", "calm_above", "calm_below"),
        *_floats("flow", "funding_paid", "delisting_cost", "crossed"),
        *_floats("asked_lots", "working_lots", "wanted", "granted", "fraction"),
        ("working_sequence", "i8"),
        ("limits", "f8", (len(GateLimits._fields),)),
    ],
    align=True,
)
"""A sub-book, its exits and its part in the working order.

`cash` mirrors its sleeve's purse while it trades; `flow` is the cash its own trades and funding have moved,
so `flow + qty x price` is its profit. `crossed` counts lots taken from other sleeves instead of the venue;
`left_bar` is the number of the bar in which an exit last closed it; `variance` and the calm edges are what
the functions of `qtm.backtest.intrabar` need.
"""

LINE = np.dtype(
    [
        ("instrument", "i8"),
        ("step_size", "f8"),
        ("qty", "f8"),
        ("held", "i8"),
        ("held_qty", "f8"),
        ("held_in", "i8"),
        ("unmet", "?"),
        ("pending", "i8"),
        ("compiled", "?"),
        ("answered", "f8"),
        ("stepped_ms", "i8"),
    ],
    align=True,
)
"""What every bar asks of a leg, close together; it follows from the records and is no part of a snapshot.

`qty` follows the leg's. The first `account.held` rows list the legs with a position, ascending: which, how
much and in what. The first `account.unmet` rows list in `pending`, ascending, the legs whose target is not
achieved; each of them is marked `unmet`. `compiled` legs are a step's: `stepped_ms` is the last bar it has
seen and, where it answers ahead, `answered` its last target.
"""

CHANGING: dict[str, tuple[str, ...]] = {
    "account": ("bars", "working", "watched", "absent", "dead", "seen_ms", "insured"),
    "sleeves": ("cash",),
    "sessions": SESSION.names or (),
    "quotes": (QUOTE.names or ())[:11],
    "legs": tuple(n for n in LEG.names or () if n not in ("instrument", "strategy", "next", "limits")),
}
"""What a snapshot holds of each array."""


class Memory(NamedTuple):
    """The records: account (1,), sleeves (K,), quotes (N,), legs (S,), and sessions (K + 1,) of `SESSION`.

    The last session is the whole account's. `marks` and `seen` are the last close and the open time of the
    last bar of each instrument, (N,), `ticks` the present closes counted in `tick_sizes`. `queue` (S,) lists
    the legs whose target is unmet at the present close, `waiting` (N,) the instruments with an order, both
    ascending; the account counts them. `lines` (S,) is the legs' short form.
    """

    account: Records
    sleeves: Records
    sessions: Records
    quotes: Records
    legs: Records
    marks: npt.NDArray[np.float64]
    seen: npt.NDArray[np.int64]
    tick_sizes: npt.NDArray[np.float64]
    ticks: npt.NDArray[np.float64]
    queue: npt.NDArray[np.int64]
    waiting: npt.NDArray[np.int64]
    lines: Records

    def to_bytes(self) -> bytes:
        """All that changes, for a snapshot."""
        return b"".join(field.tobytes() for field in self.fields_that_change())

    def restore(self, held: bytes) -> None:
        """Take over what `to_bytes` of an equal account gave."""
        at = 0
        for field in self.fields_that_change():
            field[...] = np.frombuffer(held, field.dtype, field.size, at).reshape(field.shape)
            at += field.nbytes

    def fields_that_change(self) -> list[npt.NDArray[Any]]:
        """Views of everything a snapshot holds, in a fixed order."""
        fields = [getattr(self, part)[name] for part, names in CHANGING.items() for name in names]
        return [*fields, self.marks, self.seen, self.waiting]


class LegRules(NamedTuple):
    """The terms of one leg in the words of the single-asset loop."""

    grid: Grid
    costs: CostModel
    limits: GateLimits
    margin: Margin


@either_way
def grid_of_quote(quote: Any) -> Grid:
    """An instrument's grid."""
    return Grid(quote.tick_size, quote.step_size, quote.min_qty, quote.min_notional, quote.spot)


@either_way
def costs_of_quote(quote: Any) -> CostModel:
    """An instrument's costs."""
    return CostModel(
        quote.maker_rate,
        quote.taker_rate,
        quote.slippage_bps,
        quote.fee_in,
        quote.impact,
        quote.participation,
        quote.bnb_price,
    )


@either_way
def margin_of_quote(quote: Any) -> Margin:
    """An instrument's leverage and brackets."""
    return Margin(quote.leverage, quote.maintenance_rate, quote.liquidation_fee, quote.brackets)


@either_way
def sizing_of_sleeve(sleeve: Any) -> Sizing:
    """What a strategy's targets mean."""
    return Sizing(sleeve.mode, sleeve.amount, sleeve.drift)


@either_way
def rule_of_sleeve(sleeve: Any) -> SizingRule:
    """The rule that sizes a strategy's targets, if any."""
    row = sleeve.rule
    return SizingRule(int(row[0]), row[1], row[2], row[3], row[4], int(row[5]))


@either_way
def limits_of(row: Any) -> GateLimits:
    """Gate limits from their numbers."""
    return GateLimits(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10])


@either_way
def rules_of(quote: Any, limits: Any) -> LegRules:
    """The terms of an order on an instrument under `limits`."""
    return LegRules(grid_of_quote(quote), costs_of_quote(quote), limits_of(limits), margin_of_quote(quote))
