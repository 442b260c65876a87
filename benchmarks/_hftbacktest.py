"""hftbacktest on W4's events; run in the peers' environment: `_hftbacktest.py FILE.npz`.

It looks at the market at the end of each step. A step that ends when an event happens sees it only one feed
latency later; `quote` therefore looks first after a step and the feed's latency, as an engine does that wakes
its strategy by an event when the event becomes known.
"""

import json
import resource
import statistics
import sys
import time

import numpy as np
from hftbacktest import (
    BUY,
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    FILLED,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

FEED_NS, ORDER_NS = 5_000_000, 10_000_000
KINDS = (TRADE_EVENT | BUY_EVENT, TRADE_EVENT | SELL_EVENT, DEPTH_EVENT | BUY_EVENT, DEPTH_EVENT | SELL_EVENT)
PARTLY_FILLED = 5


def load(path):
    table = np.load(path)
    made = np.zeros(len(table["ts_ns"]), event_dtype)
    made["ev"] = np.array([EXCH_EVENT | LOCAL_EVENT | kind for kind in KINDS], np.uint64)[table["kind"]]
    made["exch_ts"] = table["ts_ns"]
    made["local_ts"] = table["ts_ns"] + FEED_NS
    made["px"], made["qty"] = table["ticks"] * 0.1, table["lots"] * 0.001
    return made


@njit
def quote(hbt, first_ns, step_ns, qty, behind, most, most_short):
    """The strategy of `_w4_market`: one quote behind the best price on each side."""
    tick = hbt.depth(0).tick_size
    requests = 0
    wait = first_ns
    while hbt.elapse(wait) == 0:
        wait = step_ns
        hbt.clear_inactive_orders(0)
        requests += requote(hbt, tick, qty, behind, most, most_short)
    return requests


@njit
def requote(hbt, tick, qty, behind, most, most_short):
    """Cancel what stands elsewhere and place what is missing; how many requests."""
    requests = 0
    depth = hbt.depth(0)
    position = hbt.position(0)
    orders = hbt.orders(0)
    bid, ask = depth.best_bid_tick - behind, depth.best_ask_tick + behind
    has_bid = has_ask = False
    values = orders.values()
    while values.has_next():
        order = values.get()
        if order.side == BUY:
            if order.price_tick == bid:
                has_bid = True
            elif order.cancellable:
                hbt.cancel(0, order.order_id, False)
                requests += 1
        elif order.price_tick == ask:
            has_ask = True
        elif order.cancellable:
            hbt.cancel(0, order.order_id, False)
            requests += 1
    if not has_bid and position < most and bid not in orders:
        hbt.submit_buy_order(0, bid, bid * tick, qty, GTX, LIMIT, False)
        requests += 1
    if not has_ask and position > -most_short and ask not in orders:
        hbt.submit_sell_order(0, ask, ask * tick, qty, GTX, LIMIT, False)
        requests += 1
    return requests


@njit
def fills_of(hbt, late_ns, step_ns, look_ns, qty, behind, most, most_short, fills):
    """`quote`, writing down (time, tick, side, lots) of every fill it learns of; how many.

    An order shows its last fill only, so it is looked at every `look_ns`, more often than quotes change.
    """
    tick = hbt.depth(0).tick_size
    count, looks = 0, 0
    over = late_ns != 0 and hbt.elapse(late_ns) != 0
    while not over and hbt.elapse(look_ns) == 0:
        count = told_fills(hbt, fills, count)
        looks += 1
        if looks * look_ns % step_ns == 0:
            hbt.clear_inactive_orders(0)
            requote(hbt, tick, qty, behind, most, most_short)
    return told_fills(hbt, fills, count)


@njit
def told_fills(hbt, fills, count):
    """Write down every filled order there is, those of the last look again; the new count."""
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        if order.status == FILLED or order.status == PARTLY_FILLED:
            fills[count, 0], fills[count, 1] = order.exch_timestamp, order.price_tick
            fills[count, 2] = 1 if order.side == BUY else -1
            fills[count, 3] = round(order.exec_qty * 1_000)
            count += 1
    return count


def backtest(events, partial, queue_power=0.0):
    asset = BacktestAsset().data(events).linear_asset(1.0).constant_order_latency(ORDER_NS, FEED_NS)
    asset = asset.partial_fill_exchange() if partial else asset.no_partial_fill_exchange()
    asset = asset.power_prob_queue_model(queue_power) if queue_power else asset.risk_adverse_queue_model()
    asset = asset.trading_value_fee_model(-0.0001, 0.0004)
    asset = asset.tick_size(0.1).lot_size(0.001).roi_lb(20_000.0).roi_ub(40_000.0)
    return ROIVectorMarketDepthBacktest([asset])


if __name__ == "__main__":
    events = load(sys.argv[1])
    for name, step_ns in (("every 100 ms", 100_000_000), ("every trade (20 ms)", 20_000_000)):
        for partial in (False, True):
            seconds = []
            for run in range(8):
                engine = backtest(events, partial)
                started = time.perf_counter()
                requests = quote(engine, step_ns + FEED_NS, step_ns, 1.0, 1, 10.0, 10.0)
                spent = time.perf_counter() - started
                values = engine.state_values(0)
                fills = int(values.num_trades)
                engine.close()
                if run:
                    seconds.append(spent)
            print(
                json.dumps(
                    {
                        "name": f"{name}, {'partial fills' if partial else 'whole fills'}",
                        "best": min(seconds),
                        "median": statistics.median(seconds),
                        "requests": int(requests),
                        "fills": fills,
                        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    }
                ),
                flush=True,
            )
