"""Own fills of a real paper run give back the cost model that the paper exchange trades with."""

from __future__ import annotations

import pytest

from qtm.errors import DataError
from qtm.execution.shortfall import shortfall
from qtm.store.database import Database, open_database
from qtm.trading.costs import SPOT_COSTS
from tests.parity.market import Exchange, Stream, minute_bars

BARS, HISTORY = 240, 60


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The database of a stream that traded a crossing of averages on the paper exchange."""
    bars = minute_bars("BTCUSDT", BARS, history=HISTORY)
    with Exchange([bars]) as exchange:
        stream = Stream(
            tmp_path_factory.mktemp("home"), exchange, "--strategy", "trend", "--symbols", "BTCUSDT",
            "--lockstep", "--warmup", str(HISTORY), "--units", "0", "--param", "fast=3", "--param", "slow=9",
        )  # fmt: skip
        stream.run()
    return open_database(stream.database_url)


def test_own_fills_give_back_the_slippage_of_the_exchange(traded: Database) -> None:
    bars = minute_bars("BTCUSDT", BARS, history=HISTORY)
    report = shortfall(traded, "paper", "BTCUSDT", bars, SPOT_COSTS)
    assert len(report.orders) >= 15 and report.skipped == 0
    # The exchange quotes a basis point from the open, rounded to the worse tick of 0.01 on about 60,000.
    tick_bps = 0.01 / float(bars.close.min()) * 1e4
    assert report.orders["slippage_bps"].min() >= 1.0 - 1e-9
    assert report.orders["slippage_bps"].max() <= 1.0 + tick_bps
    assert report.fit is not None
    assert report.fit.slippage_bps == pytest.approx(1.0, abs=tick_bps)
    assert abs(report.fit.impact) < 0.01
    fitted = report.fit.costs(SPOT_COSTS)
    assert fitted.slippage_bps == pytest.approx(SPOT_COSTS.slippage_bps, abs=tick_bps)


def test_the_parts_add_up_to_the_shortfall_and_the_model_agrees(traded: Database) -> None:
    bars = minute_bars("BTCUSDT", BARS, history=HISTORY)
    report = shortfall(traded, "paper", "BTCUSDT", bars, SPOT_COSTS)
    totals = report.totals()
    rows = report.orders
    by_hand = float((rows["side"] * (rows["paid"] - rows["decision_price"]) * rows["qty"]).sum())
    slid = float((rows["side"] * (rows["paid"] - rows["reference"]) * rows["qty"]).sum())
    assert totals["delay"] + totals["slippage"] == pytest.approx(by_hand, rel=1e-9)
    assert totals["slippage"] == pytest.approx(slid, rel=1e-9)
    assert totals["shortfall"] == pytest.approx(totals["delay"] + totals["slippage"] + totals["fees"])
    assert totals["fees"] == pytest.approx(totals["model_fees"], rel=1e-6)
    assert totals["slippage"] == pytest.approx(totals["model_slippage"], rel=0.01)
    assert totals["filled_share"] == 1.0


def test_an_account_without_fills_is_said_so(traded: Database) -> None:
    with pytest.raises(DataError, match="no fills"):
        shortfall(traded, "nobody", "BTCUSDT", minute_bars("BTCUSDT", 5), SPOT_COSTS)
