"""jesse timed on a year of bars, in an environment of its own: `python _jesse_bars.py bars.npz`.

Its orders fill at the close that decides. It keeps files where it runs, so it runs in a folder of its own.
"""

import json
import os
import resource
import sys
import tempfile
import time

import numpy as np

columns = dict(np.load(sys.argv[1]))
home = tempfile.TemporaryDirectory()
os.chdir(home.name)

import jesse.indicators as ta  # noqa: E402
from jesse import research  # noqa: E402
from jesse.strategies import Strategy  # noqa: E402

EXCHANGE = "Binance Perpetual Futures"


class Cross(Strategy):
    """Long one unit while the fast average is above the slow one."""

    def is_above(self):
        latest = self.candles[-60:]
        return ta.sma(latest, 20) > ta.sma(latest, 50)

    def should_long(self):
        return self.is_above()

    def go_long(self):
        self.buy = 1, self.price

    def update_position(self):
        if not self.is_above():
            self.liquidate()

    def should_cancel_entry(self):
        return True


started = time.perf_counter()
times = 1_704_067_200_000 + 60_000 * np.arange(columns["close"].size)
names = ("open", "close", "high", "low", "volume")
candles = np.column_stack([times, *(columns[name] for name in names)])
bringing = time.perf_counter() - started
config = {
    "starting_balance": 1e7, "fee": 0.001, "type": "futures", "futures_leverage": 1,
    "futures_leverage_mode": "cross", "exchange": EXCHANGE, "warm_up_candles": 0, "annualization": 365,
    "simulation_model": "perpetual_futures",
}  # fmt: skip
routes = [{"exchange": EXCHANGE, "strategy": Cross, "symbol": "BTC-USDT", "timeframe": "1m"}]
series = {f"{EXCHANGE}-BTC-USDT": {"exchange": EXCHANGE, "symbol": "BTC-USDT", "candles": candles}}
started = time.perf_counter()
found = research.backtest(config, routes, [], series, fast_mode=True)["metrics"]
taken = time.perf_counter() - started
print(
    json.dumps(
        {
            "name": "jesse 3.5.3",
            "seconds": taken,
            "bringing": bringing,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "trips": int(found["total"]),
            "final": float(found["finishing_balance"]),
        }
    ),
    flush=True,
)
