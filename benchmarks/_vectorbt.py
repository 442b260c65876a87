"""vectorbt on the same bars, in its own environment: `python _vectorbt.py w1|w2 bars.npz numba|rust`."""

import json
import resource
import statistics
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt

CASH, FEE = 1e7, 0.001


def emit(name, taken, final, fills):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "name": name,
                "best": min(taken),
                "median": statistics.median(taken),
                "final": final,
                "fills": fills,
                "peak_mb": peak,
            }
        ),
        flush=True,
    )


def simulate(close, opened, fast, slow):
    above = vbt.MA.run(close, fast).ma_above(vbt.MA.run(close, slow))
    before = above.vbt.signals.fshift(1)
    entries, exits = (above & ~before).vbt.signals.fshift(1), (~above & before).vbt.signals.fshift(1)
    return vbt.Portfolio.from_signals(
        close, entries, exits, price=opened, size=1.0, fees=FEE, init_cash=CASH, freq="1min"
    )


def main():
    what, bars, engine = sys.argv[1:4]
    vbt.settings["engine"] = "auto" if engine == "rust" else engine
    columns = np.load(bars)
    index = pd.date_range("2024-01-01", periods=columns["close"].size, freq="1min")
    close, opened = pd.Series(columns["close"], index, name="c"), pd.Series(columns["open"], index, name="c")
    if what == "w1":
        taken = []
        for _ in range(6):
            started = time.perf_counter()
            portfolio = simulate(close, opened, 20, 50)
            value = portfolio.value()
            taken.append(time.perf_counter() - started)
        emit(
            f"vectorbt 1.2.0 ({engine}), with its equity",
            taken[1:],
            float(value.iloc[-1]),
            len(portfolio.orders.records),
        )
        return
    pairs = [(f, s) for f in range(5, 45, 2) for s in range(50, 250, 10)]
    chosen = pairs[:: len(pairs) // 20][:20]
    fast, slow = zip(*chosen, strict=True)
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        fast_average = vbt.MA.run(close, list(fast), short_name="fast")
        slow_average = vbt.MA.run(close, list(slow), short_name="slow")
        above = fast_average.ma_above(slow_average)
        before = above.vbt.signals.fshift(1)
        portfolio = vbt.Portfolio.from_signals(
            close,
            (above & ~before).vbt.signals.fshift(1),
            (~above & before).vbt.signals.fshift(1),
            price=opened,
            size=1.0,
            fees=FEE,
            init_cash=CASH,
            freq="1min",
        )
        final = portfolio.final_value()
        figures = portfolio.max_drawdown(), portfolio.sharpe_ratio()
        taken.append(time.perf_counter() - started)
        del figures
    emit(f"vectorbt 1.2.0 ({engine}), a chunk of 20", taken[1:], float(final.sum()), 20)


main()
