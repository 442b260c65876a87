"""hftbacktest on W4's events; run in the peers' environment: `_hftbacktest.py FILE.npz`."""

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


def load(path):
    table = np.load(path)
    made = np.zeros(len(table["ts_ns"]), event_dtype)
    made["ev"] = np.array([EXCH_EVENT | LOCAL_EVENT | kind for kind in KINDS], np.uint64)[table["kind"]]
    made["exch_ts"] = table["ts_ns"]
    made["local_ts"] = table["ts_ns"] + FEED_NS
    made["px"], made["qty"] = table["ticks"] * 0.1, table["lots"] * 0.001
    return made


@njit
def quote(hbt, step_ns):
    """The strategy of `_w4_market`: one quote a tick behind the best price on each side."""
    tick = hbt.depth(0).tick_size
    requests = 0
    while hbt.elapse(step_ns) == 0:
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        position = hbt.position(0)
        orders = hbt.orders(0)
        bid, ask = depth.best_bid_tick - 1, depth.best_ask_tick + 1
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
        if not has_bid and position < 10 and bid not in orders:
            hbt.submit_buy_order(0, bid, bid * tick, 1.0, GTX, LIMIT, False)
            requests += 1
        if not has_ask and position > -10 and ask not in orders:
            hbt.submit_sell_order(0, ask, ask * tick, 1.0, GTX, LIMIT, False)
            requests += 1
    return requests


def backtest(events, partial):
    asset = BacktestAsset().data(events).linear_asset(1.0).constant_order_latency(ORDER_NS, FEED_NS)
    asset = asset.partial_fill_exchange() if partial else asset.no_partial_fill_exchange()
    asset = asset.risk_adverse_queue_model().trading_value_fee_model(-0.0001, 0.0004)
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
                requests = quote(engine, step_ns)
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
