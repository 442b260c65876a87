"""A running stream sizes by the rule it is given, on the bars it has seen, and never beyond the limit."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from qtm.risk.sizing_rules import sizer_of
from qtm.risk.sizing_view import view_of_bars
from qtm.store.database import open_database
from qtm.store.schema import orders
from tests.parity.market import Exchange, Stream, instrument, minute_bars
from tests.streaming.test_stream_process import TREND, command

HISTORY = 60


def first_order(stream: Stream) -> tuple[Decimal, int]:
    with open_database(stream.database_url).read() as connection:
        row = connection.execute(select(orders).order_by(orders.c.decided_ms)).first()
    assert row is not None
    return Decimal(row.qty), int(row.decided_ms)


def test_the_first_order_is_the_rule_on_the_bars_seen_until_then(tmp_path: Path) -> None:
    bars = minute_bars("BTCUSDT", 40, history=HISTORY)
    rule = "volatility:target=0.0002,window=50"
    with Exchange([bars]) as exchange:
        options = ("--lockstep", "--sizing", rule, "--warmup", str(HISTORY))
        stream = Stream(tmp_path, exchange, *TREND, *options)
        stream.run()
    qty, decided_ms = first_order(stream)
    last = int(np.searchsorted(bars.open_time_ms, decided_ms)) - 1
    seen = slice(last - 49, last + 1)
    view = view_of_bars(bars.high[seen], bars.low[seen], bars.close[seen], equity=100_000.0)
    weight = sizer_of(rule).weight(view)
    assert 0.05 < weight < 0.95
    step = float(instrument("BTCUSDT").step_size)
    assert float(qty) == pytest.approx(np.floor(weight * 100_000 / bars.close[last] / step) * step, rel=1e-9)


def test_the_rule_never_asks_for_more_than_the_position_limit(tmp_path: Path) -> None:
    limit = tmp_path / "limits.toml"
    limit.write_text("[firm]\nmax_position_value = 5000\n")
    bars = minute_bars("BTCUSDT", 40, history=HISTORY)
    with Exchange([bars]) as exchange:
        options = ("--lockstep", "--sizing", "volatility:target=0.5", "--warmup", str(HISTORY))
        stream = Stream(tmp_path, exchange, *TREND, *options, "--limits", str(limit))
        assert stream.run()["orders"]["refused"] == 0
    told = command(stream, "explain", "trend-BTCUSDT-0000001", "--json")
    (worst,) = (one for one in told["findings"] if one["control"] == "PT-07")  # type: ignore[attr-defined]
    assert 4900 < float(worst["measured"]) <= 5000


def test_without_enough_bars_the_rule_places_no_order(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 20, history=5)]) as exchange:
        options = ("--lockstep", "--sizing", "volatility:target=0.001")
        summary = Stream(tmp_path, exchange, *TREND, *options).run()
        assert exchange.trades() == []
    assert summary["signals"] > 0 and summary["orders"]["approved"] == 0
