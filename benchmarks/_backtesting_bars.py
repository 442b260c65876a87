"""backtesting.py timed on a year of bars, in its own environment: `python _backtesting_bars.py bars.npz`."""

import json
import resource
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

warnings.filterwarnings("ignore")


class Cross(Strategy):
    """Averages of closes in whole ticks, so that ties are the ties of the other engines."""

    def init(self):
        ticks = pd.Series(np.rint(self.data.Close / 0.01))
        self.fast = self.I(lambda: ticks.rolling(20).mean().to_numpy())
        self.slow = self.I(lambda: ticks.rolling(50).mean().to_numpy())

    def next(self):
        above = self.fast[-1] > self.slow[-1]
        if above and not self.position:
            self.buy(size=1)
        elif self.position and not above:
            self.position.close()


columns = np.load(sys.argv[1])
started = time.perf_counter()
index = pd.date_range("2024-01-01", periods=columns["close"].size, freq="1min")
frame = pd.DataFrame({name.capitalize(): columns[name] for name in columns.files}, index=index)
bringing = time.perf_counter() - started
started = time.perf_counter()
found = Backtest(frame, Cross, cash=1e7, commission=0.001, finalize_trades=True).run()
taken = time.perf_counter() - started
print(
    json.dumps(
        {
            "name": "backtesting.py 0.6.6",
            "seconds": taken,
            "bringing": bringing,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "trips": int(found["# Trades"]),
            "final": float(found["Equity Final [$]"]),
        }
    )
)
