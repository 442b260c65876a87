"""Returns per UTC day out of an intraday equity path."""

import numpy as np
import pytest

from qtm.backtest.overfitting.observations import DAY_MS, daily_closes, daily_returns
from qtm.errors import RiskError

HOURS = np.arange(0, 5 * DAY_MS, DAY_MS // 4, dtype=np.int64)


def test_a_day_closes_with_its_last_bar():
    days, closes = daily_closes(HOURS, np.arange(1.0, 21.0))
    assert days.tolist() == [i * DAY_MS for i in range(5)]
    assert closes.tolist() == [4.0, 8.0, 12.0, 16.0, 20.0]


def test_days_without_bars_are_skipped_not_filled():
    keep = (HOURS < DAY_MS) | (HOURS >= 3 * DAY_MS)
    assert daily_returns(HOURS[keep], np.arange(1.0, 21.0)[keep]).tolist() == [3.0, 0.25]


def test_many_trials_at_once():
    equity = np.column_stack((np.arange(1.0, 21.0), np.full(20, 5.0)))
    assert daily_returns(HOURS, equity)[:, 1].tolist() == [0.0] * 4


def test_ruin_and_mismatch_are_refused():
    with pytest.raises(RiskError, match="zero or below"):
        daily_returns(HOURS, np.arange(20.0, 0.0, -1.0) - 1.0)
    with pytest.raises(RiskError, match="equally long"):
        daily_returns(HOURS[:3], np.ones(4))
