"""vectorbt on the same bars, in its own environment: `python _vectorbt.py w1|w2|w3 bars numba|rust`.

`bars` is an .npz file, or for w3 a folder with one .npy table per column.
"""

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


def shared_cash(close, opened):
    """Fifty assets, a fiftieth of the starting cash each, sells before buys."""
    fast, slow = vbt.MA.run(close, 20), vbt.MA.run(close, 50)
    entries = fast.ma_crossed_above(slow).vbt.signals.fshift(1)
    exits = fast.ma_crossed_below(slow).vbt.signals.fshift(1)
    entries.columns = exits.columns = close.columns
    portfolio = vbt.Portfolio.from_signals(
        close,
        entries,
        exits,
        price=opened,
        size=CASH / close.shape[1],
        size_type="value",
        fees=FEE,
        init_cash=CASH,
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        freq="1min",
    )
    return portfolio, portfolio.value()


def w3(folder, engine):
    tables = [np.load(f"{folder}/{name}.npy") for name in ("close", "open")]
    index = pd.date_range("2024-01-01", periods=tables[0].shape[0], freq="1min")
    columns = [f"a{asset}" for asset in range(tables[0].shape[1])]
    close, opened = (pd.DataFrame(table, index, columns) for table in tables)
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        portfolio, value = shared_cash(close, opened)
        taken.append(time.perf_counter() - started)
    emit(
        f"vectorbt 1.2.0 ({engine}), with its equity",
        taken[1:],
        float(value.iloc[-1]),
        len(portfolio.orders.records),
    )


def main():
    what, bars, engine = sys.argv[1:4]
    vbt.settings["engine"] = "auto" if engine == "rust" else engine
    if what == "w3":
        w3(bars, engine)
        return
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
