"""vectorbt's trades and equity on the same bars: `python _vectorbt_trades.py bars.npz equity.npz`."""

import json
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt

CASH, FEE = 1e7, 0.001

columns = np.load(sys.argv[1])
index = pd.date_range("2024-01-01", periods=columns["close"].size, freq="1min")
close, opened = pd.Series(columns["close"], index), pd.Series(columns["open"], index)
ticks = pd.Series(np.rint(columns["close"] / 0.01), index)
above = ticks.rolling(20).mean() > ticks.rolling(50).mean()
above[:50] = False  # backtesting.py decides from the bar after the averages' first
started = time.perf_counter()
portfolio = vbt.Portfolio.from_signals(
    close,
    above.vbt.signals.fshift(1),
    (~above).vbt.signals.fshift(1),
    price=opened,
    size=1.0,
    fees=FEE,
    init_cash=CASH,
    freq="1min",
)
equity = portfolio.value().to_numpy()
taken = time.perf_counter() - started
trades = portfolio.trades.records
trades = trades[trades["status"] == 1]
np.savez(
    sys.argv[2],
    equity=equity,
    entry=trades["entry_idx"].to_numpy(),
    exit=trades["exit_idx"].to_numpy(),
    entry_price=trades["entry_price"].to_numpy(),
    exit_price=trades["exit_price"].to_numpy(),
    profit=trades["pnl"].to_numpy(),
)
print(json.dumps({"name": "vectorbt 1.2.0", "seconds": taken, "final": float(equity[-1])}))
