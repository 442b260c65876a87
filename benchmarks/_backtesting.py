"""backtesting.py on the same bars, in its own environment: `python _backtesting.py bars.npz [equity.npz]`."""

import json
import resource
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

warnings.filterwarnings("ignore")
CASH, FEE = 1e7, 0.001


class Cross(Strategy):
    """Averages of closes in whole ticks, so that ties are the ties of the other engines."""

    def init(self):
        self.fast = self.I(lambda: TICKS.rolling(20).mean().to_numpy())
        self.slow = self.I(lambda: TICKS.rolling(50).mean().to_numpy())

    def next(self):
        above = self.fast[-1] > self.slow[-1]
        if above and not self.position:
            self.buy(size=1)
        elif self.position and not above:
            self.position.close()


columns = np.load(sys.argv[1])
started = time.perf_counter()
index = pd.date_range("2024-01-01", periods=columns["close"].size, freq="1min")
names = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
frame = pd.DataFrame({there: columns[here] for there, here in names.items()}, index=index)
TICKS = pd.Series(np.rint(columns["close"] / 0.01))
bringing = time.perf_counter() - started
started = time.perf_counter()
found = Backtest(frame, Cross, cash=CASH, commission=FEE).run()
taken = time.perf_counter() - started
trades = found["_trades"]
if len(sys.argv) > 2:
    np.savez(
        sys.argv[2],
        equity=found["_equity_curve"]["Equity"].to_numpy(),
        entry=trades["EntryBar"].to_numpy(),
        exit=trades["ExitBar"].to_numpy(),
        entry_price=trades["EntryPrice"].to_numpy(),
        exit_price=trades["ExitPrice"].to_numpy(),
        profit=trades["PnL"].to_numpy(),
    )
print(
    json.dumps(
        {
            "name": "backtesting.py 0.6.6",
            "seconds": taken,
            "bringing": bringing,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "trips": len(trades),
            "final": float(found["Equity Final [$]"]),
        }
    )
)
