"""freqtrade timed on a year of bars, in an environment of its own: `python _freqtrade_bars.py bars.npz`.

It wants the venue's list of markets from the network, which is given to it here. It stakes an amount of money
instead of one unit, fills at the next open, and reads its bars from files.
"""

import contextlib
import io
import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting

PAIR, CASH = "BTC/USDT", 1e7
STRATEGY = """
from freqtrade.strategy import IStrategy


class Cross(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    minimal_roi = {"0": 100}
    stoploss = -0.99

    def populate_indicators(self, frame, metadata):
        frame["above"] = frame["close"].rolling(20).mean() > frame["close"].rolling(50).mean()
        return frame

    def populate_entry_trend(self, frame, metadata):
        frame.loc[frame["above"], "enter_long"] = 1
        return frame

    def populate_exit_trend(self, frame, metadata):
        frame.loc[~frame["above"], "exit_long"] = 1
        return frame
"""
MARKET = {
    "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
    "type": "spot", "active": True, "spot": True, "margin": False, "swap": False, "future": False,
    "option": False, "contract": False, "linear": None, "inverse": None, "contractSize": None,
    "taker": 0.001, "maker": 0.001, "info": {}, "precision": {"amount": 1e-5, "price": 0.01},
    "limits": {
        "amount": {"min": 1e-5, "max": 9000.0}, "price": {"min": 0.01, "max": 1e6},
        "cost": {"min": 5, "max": None}, "leverage": {"min": None, "max": None},
    },
}  # fmt: skip


def know_the_market(exchange, force=False, *, load_leverage_tiers=True):
    """In place of asking the venue."""
    for api in (exchange._api, exchange._api_async):
        api.set_markets([MARKET])
    exchange._markets = exchange._api.markets
    exchange._last_markets_refresh = 1 << 60


def configuration(home):
    return {
        "strategy": "Cross", "strategy_path": str(home), "user_data_dir": home, "datadir": home,
        "dataformat_ohlcv": "feather", "dataformat_trades": "feather", "runmode": RunMode.BACKTEST,
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": [], "enable_ws": False},
        "pairlists": [{"method": "StaticPairList"}], "pairs": [PAIR], "timeframe": "1m",
        "stake_currency": "USDT", "stake_amount": 30_000, "dry_run": True, "dry_run_wallet": CASH,
        "max_open_trades": 1, "fee": 0.001, "trading_mode": "spot", "margin_mode": "",
        "candle_type_def": CandleType.SPOT, "export": "none", "exportfilename": home / "found",
        "backtest_cache": "none", "internals": {}, "original_config": {}, "position_stacking": False,
        "tradable_balance_ratio": 0.99, "amend_last_stake_amount": False, "stoploss": -0.99,
        "last_stake_amount_min_ratio": 0.5, "recursive_strategy_search": False,
        "cancel_open_orders_on_exit": False, "disableparamexport": True,
        "entry_pricing": {"price_side": "other"}, "exit_pricing": {"price_side": "other"},
        "order_types": {
            "entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False,
        },
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
    }  # fmt: skip


logging.disable(logging.CRITICAL)
Exchange.reload_markets = know_the_market
Exchange.ft_additional_exchange_init = lambda exchange: None
Exchange.validate_timeframes = lambda exchange, timeframe: None
columns = np.load(sys.argv[1])
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    home = Path(folder)
    (home / "cross.py").write_text(STRATEGY)
    frame = pd.DataFrame({name: columns[name] for name in ("open", "high", "low", "close", "volume")})
    frame.insert(0, "date", pd.date_range("2024-01-01", periods=len(frame), freq="1min", tz="UTC"))
    get_datahandler(home, "feather").ohlcv_store(PAIR, "1m", frame, CandleType.SPOT)
    backtesting = Backtesting(configuration(home))
    started = time.perf_counter()
    data, timerange = backtesting.load_bt_data()
    bringing = time.perf_counter() - started
    started = time.perf_counter()
    backtesting.backtest_one_strategy(backtesting.strategylist[0], data, timerange)
    taken = time.perf_counter() - started
    found = backtesting.all_bt_content["Cross"]
print(
    json.dumps(
        {
            "name": "freqtrade 2026.9",
            "seconds": taken,
            "bringing": bringing,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "trips": len(found["results"]),
            "final": float(found["final_balance"]),
        }
    )
)
