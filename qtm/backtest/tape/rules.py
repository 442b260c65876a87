"""Everything about a run that does not change: the venue's filters, costs, limits, margin, latency, queue.

All of it is one record of numbers (`RULES`), handed to the compiled loop by address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.tape.events import Tape
from qtm.errors import ConfigError
from qtm.market.instruments import Instrument, Market
from qtm.risk.rules import GateLimits, in_floats
from qtm.trading.costs import FEE_IN_BNB, CostModel, numbers_of
from qtm.trading.exact import lots_from, scale_of, units_of
from qtm.trading.margin import Margin

BACK, PROPORTIONAL = 0, 1
MOST_CONDITIONAL = {Market.SPOT: 5, Market.UM: 200}
"""Conditional orders an account may have open: on a spot symbol (MAX_NUM_ALGO_ORDERS), on all of USD-M."""
SAMPLES = 256
BRACKETS = 16
NEVER_NS = 1 << 62


class Queue(NamedTuple):
    """How a resting order moves up in its queue.

    Attributes
    ----------
    model
        `BACK`: only trades at its price, and withdrawals that leave less than stood ahead, bring it forward.
        `PROPORTIONAL`: a withdrawal is taken from before and behind it in proportion (to the power `power`).
    power
        1.0 splits by lots; more says that cancels come from the back (Rigtorp's and hftbacktest's shape).
    assumed
        Base units believed to stand ahead where no depth is known (trades alone). Infinite: such an order is
        filled only when the market trades through its price.
    """

    model: int = BACK
    power: float = 1.0
    assumed: float = float("inf")


@dataclass(frozen=True)
class Latency:
    """How long things take, in nanoseconds, drawn from tables of measured values by a seed.

    `feed_ns` is the delay of everything the strategy learns (market and own orders alike), `order_ns` that of
    a request to the venue; neither overtakes what was sent before it. A table of one value is a constant.
    """

    feed_ns: tuple[int, ...] = (0,)
    order_ns: tuple[int, ...] = (0,)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse tables that cannot be used."""
        for name in ("feed_ns", "order_ns"):
            table = getattr(self, name)
            if not 1 <= len(table) <= SAMPLES or min(table) < 0:
                raise ConfigError(
                    f"latency.{name} needs 1 to {SAMPLES} values of at least 0", remedy="thin the sample out"
                )

    @classmethod
    def constant(cls, feed_ms: float = 0.0, order_ms: float = 0.0) -> Latency:
        """Always the same."""
        return cls((round(feed_ms * 1e6),), (round(order_ms * 1e6),))


BRACKET = np.dtype([("floor", "i8"), ("rate", "i8"), ("cum", "i8"), ("leverage", "i8")], align=True)
COSTS = np.dtype([(name, "f8") for name in CostModel._fields], align=True)
LIMITS = np.dtype([(name, "f8") for name in GateLimits._fields], align=True)

RULES = np.dtype(
    [
        ("tick_size", "f8"),
        ("step_size", "f8"),
        ("tick", "i8"),
        ("step", "i8"),
        ("value", "i8"),
        ("per", "i8"),
        ("min_ticks", "i8"),
        ("max_ticks", "i8"),
        ("min_lots", "i8"),
        ("max_lots", "i8"),
        ("market_step", "i8"),
        ("market_max_lots", "i8"),
        ("max_conditional", "i8"),
        ("min_notional", "i8"),
        ("max_notional", "i8"),
        ("spot", "i8"),
        ("maker", "i8"),
        ("taker", "i8"),
        ("fee_in", "i8"),
        ("bnb", "i8"),
        ("gated", "i8"),
        ("leverage", "i8"),
        ("liquidation_fee", "i8"),
        ("brackets", "i8"),
        ("queue_model", "i8"),
        ("queue_power", "f8"),
        ("assumed", "i8"),
        ("depth", "i8"),
        ("base_ticks", "i8"),
        ("of_bars", "i8"),
        ("marked", "i8"),
        ("sample_ns", "i8"),
        ("end_ns", "i8"),
        ("wakes", "i8"),
        ("period_ns", "i8"),
        ("trade_from_ns", "i8"),
        ("seed", "i8"),
        ("feeds", "i8"),
        ("routes", "i8"),
        ("feed_ns", "i8", (SAMPLES,)),
        ("order_ns", "i8", (SAMPLES,)),
        ("costs", COSTS),
        ("limits", LIMITS),
        ("bracket", BRACKET, (BRACKETS,)),
    ],
    align=True,
)
"""Names as in `qtm.trading.exact.Scale`, `Instrument`, `CostModel`, `GateLimits`; money in units of 1e-8."""


def make_rules(
    tape: Tape,
    instrument: Instrument,
    costs: CostModel,
    latency: Latency,
    queue: Queue,
    limits: GateLimits | None,
    margin: Margin,
    *,
    wakes: int,
    period_ns: int,
    trade_from_ns: int,
    marked: bool,
) -> npt.NDArray[np.void]:
    """The record of a run, shape (1,).

    Raises
    ------
    ConfigError, DataError
        For costs or a margin that whole units cannot hold.
    """
    rules = np.zeros(1, RULES)
    record = rules[0]
    record["tick_size"], record["step_size"] = float(instrument.tick_size), float(instrument.step_size)
    for name, number in scale_of(instrument)._asdict().items():
        record[name] = number
    _filters(record, instrument)
    _costs(record, numbers_of(costs))
    _margin(record, margin)
    record["spot"] = instrument.market is Market.SPOT
    record["gated"] = limits is not None
    record["limits"] = tuple(in_floats(limits))
    record["queue_model"], record["queue_power"] = queue.model, queue.power
    record["assumed"] = -1 if queue.assumed == float("inf") else lots_from(queue.assumed, instrument)
    record["depth"], record["of_bars"], record["marked"] = tape.depth, tape.of_bars, marked
    record["base_ticks"] = tape.price_range[0]
    record["sample_ns"], record["end_ns"] = tape.interval.ms * 1_000_000, tape.end_ns
    record["wakes"], record["period_ns"], record["trade_from_ns"] = wakes, period_ns, trade_from_ns
    record["seed"] = latency.seed
    for count, table, values in (
        ("feeds", "feed_ns", latency.feed_ns),
        ("routes", "order_ns", latency.order_ns),
    ):
        record[count] = len(values)
        record[table][: len(values)] = values
    return rules


def _filters(record: Any, instrument: Instrument) -> None:
    """The venue's bounds in ticks, lots and units; 0 for a maximum that is not set."""
    record["min_ticks"] = max(1, instrument.ticks(instrument.min_price, up=True))
    record["max_ticks"] = instrument.ticks(instrument.max_price)
    record["min_lots"] = max(1, -(-instrument.min_qty // instrument.step_size))
    record["max_lots"] = instrument.lots(instrument.max_qty)
    record["market_step"] = max(1, instrument.lots(instrument.market_step_size))
    record["market_max_lots"] = instrument.lots(instrument.market_max_qty)
    record["max_conditional"] = MOST_CONDITIONAL[instrument.market]
    record["min_notional"] = units_of(instrument.min_notional)
    record["max_notional"] = units_of(instrument.max_notional)


def _costs(record: Any, costs: CostModel) -> None:
    record["costs"] = tuple(costs)
    record["maker"], record["taker"] = units_of(costs.maker_rate), units_of(costs.taker_rate)
    record["fee_in"], record["bnb"] = costs.fee_in, units_of(costs.bnb_price)
    if costs.fee_in == FEE_IN_BNB and costs.bnb_price <= 0.0:
        raise ConfigError("fees in BNB need the price of BNB", where="costs.bnb_price")


def _margin(record: Any, margin: Margin) -> None:
    """Brackets in whole units; a margin without brackets is one bracket without end."""
    if margin.leverage != int(margin.leverage):
        raise ConfigError(
            f"leverage is a whole number on the venue, not {margin.leverage:g}", where="margin.leverage"
        )
    record["leverage"] = int(margin.leverage)
    record["liquidation_fee"] = units_of(margin.liquidation_fee)
    rows = margin.brackets.tolist() or [[0.0, margin.maintenance_rate, 0.0, margin.leverage]]
    if len(rows) > BRACKETS:
        raise ConfigError(f"more than {BRACKETS} leverage brackets", where="margin.brackets")
    record["brackets"] = len(rows)
    for at, (floor, rate, cum, leverage) in enumerate(rows):
        record["bracket"][at] = (units_of(floor), units_of(rate), units_of(cum), int(leverage))
