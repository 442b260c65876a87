"""nautilus_trader timed on a year of bars, in an environment of its own: `python _nautilus_bars.py bars.npz`.

Its orders fill at the close that decides.
"""

import json
import resource
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
PAIR = CurrencyPair(
    instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE), raw_symbol=Symbol("BTCUSDT"), base_currency=BTC,
    quote_currency=USDT, price_precision=2, size_precision=5, price_increment=Price.from_str("0.01"),
    size_increment=Quantity.from_str("0.00001"), lot_size=None, maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"), margin_init=Decimal(0), margin_maint=Decimal(0), ts_event=0, ts_init=0,
)  # fmt: skip
MINUTES = BarType.from_str(f"{PAIR.id}-1-MINUTE-LAST-EXTERNAL")


class Cross(Strategy):
    """Long one unit while the fast average is above the slow one."""

    def on_start(self):
        self.fast, self.slow = SimpleMovingAverage(20), SimpleMovingAverage(50)
        for average in (self.fast, self.slow):
            self.register_indicator_for_bars(MINUTES, average)
        self.one, self.long, self.trips = PAIR.make_qty(1), False, 0
        self.subscribe_bars(MINUTES)

    def on_bar(self, bar):
        if not self.slow.initialized:
            return
        above = self.fast.value > self.slow.value
        if above == self.long:
            return
        side = OrderSide.BUY if above else OrderSide.SELL
        self.submit_order(self.order_factory.market(PAIR.id, side, self.one))
        self.long = above
        self.trips += not above


columns = np.load(sys.argv[1])
started = time.perf_counter()
closes = pd.date_range("2024-01-01 00:01", periods=columns["close"].size, freq="1min", tz="UTC")
frame = pd.DataFrame({name: columns[name] for name in columns.files}, index=closes)
bars = BarDataWrangler(MINUTES, PAIR).process(frame)
bringing = time.perf_counter() - started
engine = BacktestEngine(
    BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True),
        risk_engine=RiskEngineConfig(bypass=True),
        run_analysis=False,
    )
)
engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1e7, USDT)], default_leverage=Decimal(1))
engine.add_instrument(PAIR)
engine.add_data(bars, validate=False, sort=False)
strategy = Cross()
engine.add_strategy(strategy)
started = time.perf_counter()
engine.run()
taken = time.perf_counter() - started
final = engine.portfolio.account(VENUE).balance_total(USDT).as_double()
print(
    json.dumps(
        {
            "name": "nautilus_trader 1.221.0",
            "seconds": taken,
            "bringing": bringing,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "trips": strategy.trips,
            "final": final,
        }
    )
)
