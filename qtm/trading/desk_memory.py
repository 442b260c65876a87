"""The memory of an order strategy's desk, field by field: orders, requests, books, and what woke it.

Prices are in ticks, quantities in lots, times in nanoseconds, unless a field says otherwise. The words that
stand in the fields, and what a strategy does with them, are in `qtm.trading.desk`.
"""

from __future__ import annotations

import numpy as np

CAPACITY = 200
"""Orders one strategy may have open on a symbol: Binance's MAX_NUM_ORDERS."""

REQUESTS = 512
"""Requests that can be under way at once."""

ORDER = np.dtype(
    [
        ("handle", "i8"),
        ("parent", "i8"),
        ("group", "i8"),
        ("side", "i8"),
        ("kind", "i8"),
        ("time_in_force", "i8"),
        ("flags", "i8"),
        ("status", "i8"),
        ("lots", "i8"),
        ("left", "i8"),
        ("ticks", "i8"),
        ("trigger_ticks", "i8"),
        ("trail_ticks", "i8"),
        ("extreme_ticks", "i8"),
        ("ahead", "i8"),
        ("joined", "i8"),
        ("queued", "i8"),
        ("locked", "i8"),
        ("cancelling", "i8"),
        ("expire_ns", "i8"),
        ("sent_ns", "i8"),
        ("live_ns", "i8"),
    ],
    align=True,
)
"""A working order. `ahead` are the lots before it in its queue, `joined` those when it joined (-1 before, and
where no depth is known), `queued` its place among own orders,
`locked` what it has set aside (units of quote for a buy, lots for a sell), `cancelling` that a cancel is
under way."""

REQUEST = np.dtype(
    [("handle", "i8"), ("what", "i8"), ("lots", "i8"), ("ticks", "i8"), ("arrives_ns", "i8")], align=True
)

EVENT = np.dtype(
    [
        ("kind", "i8"),
        ("ts_ns", "i8"),
        ("side", "i8"),
        ("ticks", "i8"),
        ("lots", "i8"),
        ("handle", "i8"),
        ("open_ticks", "i8"),
        ("high_ticks", "i8"),
        ("low_ticks", "i8"),
    ],
    align=True,
)
"""Why a strategy is woken. `ts_ns` is when it learns of it, feed latency included; `side` is the aggressor's
of a trade, its own of a fill (`handle` names the order); a bar has its close in `ticks` and its volume in
`lots`."""

ACCOUNT = np.dtype(
    [
        ("lots", "i8"),
        ("qty", "f8"),
        ("entry_price", "f8"),
        ("cash", "f8"),
        ("free", "f8"),
        ("equity", "f8"),
    ],
    align=True,
)
"""What a strategy knows of its account: position in whole lots and in base units, cash, cash not locked."""

BOOKS = np.dtype(
    [
        ("cash", "i8"),
        ("base", "i8"),
        ("lots", "i8"),
        ("locked_quote", "i8"),
        ("locked_lots", "i8"),
        ("cost", "i8"),
        ("realised", "i8"),
        ("fees", "i8"),
        ("traded", "i8"),
        ("funding", "i8"),
        ("peak", "i8"),
        ("day", "i8"),
        ("day_start", "i8"),
        ("last_worth", "i8"),
        ("loss_limit_ms", "i8"),
        ("ruin_low", "i8"),
        ("ruin_high", "i8"),
    ],
    align=True,
)
"""The account's books in units: `base` is signed, `lots` are the whole lots in it, `cost` what it was bought
(sold) for, `loss_limit_ms` when a loss first was above its limit (PT-09), `ruin_*` the prices in ticks at
which a margin account is liquidated; 0 for never and none."""

DESK = np.dtype(
    [
        ("now_ns", "i8"),
        ("bid_ticks", "i8"),
        ("ask_ticks", "i8"),
        ("bid_lots", "i8"),
        ("ask_lots", "i8"),
        ("last_ticks", "i8"),
        ("mark_ticks", "i8"),
        ("traded_ticks", "i8"),
        ("tick_size", "f8"),
        ("step_size", "f8"),
        ("count", "i8"),
        ("placed", "i8"),
        ("asked", "i8"),
        ("judged", "i8"),
        ("arrived", "i8"),
        ("last_arrival_ns", "i8"),
        ("draws", "i8"),
        ("cursor", "i8"),
        ("pending", "i8"),
        ("fills_told", "i8"),
        ("fill_rows", "i8"),
        ("end_rows", "i8"),
        ("sample_rows", "i8"),
        ("next_due_ns", "i8"),
        ("next_timer_ns", "i8"),
        ("next_sample_ns", "i8"),
        ("next_expiry_ns", "i8"),
        ("venue_ns", "i8"),
        ("queue_number", "i8"),
        ("bids", "i8"),
        ("asks", "i8"),
        ("top_bid", "i8"),
        ("low_bid", "i8"),
        ("top_ask", "i8"),
        ("low_ask", "i8"),
        ("waiting", "i8"),
        ("trailing", "i8"),
        ("families", "i8"),
        ("family_due", "i8"),
        ("fire_above", "i8"),
        ("fire_below", "i8"),
        ("budget", "i8"),
        ("volume", "i8"),
        ("volume_so_far", "i8"),
        ("variance", "f8"),
        ("sampled_ticks", "i8"),
        ("messages", "i8"),
        ("invested", "i8"),
        ("message_ns", "i8", (256,)),
        ("books", BOOKS),
        ("account", ACCOUNT),
        ("event", EVENT),
        ("active", "i8", (CAPACITY,)),
        ("free", "i8", (CAPACITY,)),
        ("orders", ORDER, (CAPACITY,)),
        ("requests", REQUEST, (REQUESTS,)),
    ],
    align=True,
)
"""All memory of a run but the book of the market: what the strategy may look at stands first.

`last_ticks` is the market's last trade, which values the account; `traded_ticks` is the venue's, own trades
included, which stops watch."""
