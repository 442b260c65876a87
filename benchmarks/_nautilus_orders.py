"""The script of limit orders in nautilus_trader, in the peers' environment: `FILE.npz ANSWER.npz FEED`.

`prob_fill_on_limit=0` fills a resting order only by a price beyond it. With FEED `prices` every trade is a
quote without a spread; with `trades` it is a trade tick with its aggressor.
"""

import json
import sys
import time
from decimal import Decimal

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, BookType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

BINANCE = Venue("BINANCE")


def contract(fee):
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol("BTCUSDT-PERP"), BINANCE), raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC, quote_currency=USDT, settlement_currency=USDT, is_inverse=False,
        price_precision=1, size_precision=3, price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"), max_quantity=None, min_quantity=None, max_notional=None,
        min_notional=None, max_price=None, min_price=None, margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"), maker_fee=Decimal(fee), taker_fee=Decimal(fee), ts_event=0, ts_init=0,
    )  # fmt: skip


class Script(Strategy):
    """Sends and cancels what the script says after each trade."""

    def __init__(self, instrument, table):
        super().__init__()
        self.instrument, self.table = instrument, table
        self.seen, self.next = 0, 0
        self.orders, self.cancels, self.fills = [], {}, []

    def on_start(self):
        self.subscribe_trade_ticks(self.instrument.id)
        self.subscribe_quote_ticks(self.instrument.id)

    def on_trade_tick(self, tick):
        self.act()

    def on_quote_tick(self, tick):
        self.act()

    def act(self):
        for number in self.cancels.pop(self.seen, ()):
            if self.orders[number].is_open:
                self.cancel_order(self.orders[number])
        table = self.table
        while self.next < len(table["at"]) and table["at"][self.next] == self.seen:
            number = self.next
            order = self.order_factory.limit(
                self.instrument.id,
                OrderSide.BUY if table["side"][number] > 0 else OrderSide.SELL,
                Quantity(table["order_lots"][number] / 1000, 3),
                Price(table["order_ticks"][number] / 10, 1),
            )
            self.orders.append(order)
            self.cancels.setdefault(int(table["until"][number]), []).append(number)
            self.submit_order(order)
            self.next += 1
        self.seen += 1

    def on_order_filled(self, event):
        number = next(k for k, o in enumerate(self.orders) if o.client_order_id == event.client_order_id)
        ticks, lots = round(float(event.last_px) * 10), round(float(event.last_qty) * 1000)
        at = int(np.searchsorted(self.table["ts_ns"], event.ts_event))
        self.fills.append((number, at, ticks, lots, float(event.commission)))


def ticks_of(instrument, table, kind):
    rows = zip(table["ts_ns"], table["ticks"], table["lots"], table["buys"], strict=True)
    for k, (ts, ticks, lots, buy) in enumerate(rows):
        price, size = Price(ticks / 10, 1), Quantity(lots / 1000, 3)
        if kind == "prices":
            yield QuoteTick(instrument.id, price, price, size, size, int(ts), int(ts))
        else:
            side = AggressorSide.BUYER if buy else AggressorSide.SELLER
            yield TradeTick(instrument.id, price, size, side, TradeId(str(k)), int(ts), int(ts))


def main():
    table = dict(np.load(sys.argv[1]))
    instrument = contract(str(table["fee"]))
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        BINANCE, OmsType.NETTING, AccountType.MARGIN, [Money(float(table["cash"]), USDT)],
        book_type=BookType.L1_MBP, fill_model=FillModel(prob_fill_on_limit=0.0), trade_execution=True,
        default_leverage=Decimal(10),
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(list(ticks_of(instrument, table, sys.argv[3])))
    script = Script(instrument, table)
    engine.add_strategy(script)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    cash = float(engine.portfolio.account(BINANCE).balance_total(USDT))
    open_profit = engine.portfolio.unrealized_pnl(instrument.id, Price(int(table["ticks"][-1]) / 10, 1))
    final = cash + float(open_profit or 0.0)
    np.savez(sys.argv[2], fills=np.array(script.fills, "f8").reshape(-1, 5), final=final)
    print(json.dumps({"name": "nautilus_trader 1.221.0", "seconds": seconds, "final": final}))


if __name__ == "__main__":
    main()
