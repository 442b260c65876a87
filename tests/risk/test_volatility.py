"""The volatility filter, by hand."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.volatility import ewma_volatility, filtered_returns


def test_ewma_is_the_recursion_by_hand():
    returns = np.array([[0.01], [0.02], [-0.03]])
    first = np.mean(returns**2)
    second = 0.94 * first + 0.06 * 0.01**2
    third = 0.94 * second + 0.06 * 0.02**2
    expected, following = ewma_volatility(returns, 0.94)
    assert expected[:, 0] ** 2 == pytest.approx([first, second, third])
    assert following[0] ** 2 == pytest.approx(0.94 * third + 0.06 * 0.03**2)


def test_a_decay_outside_the_unit_interval_is_refused():
    with pytest.raises(RiskError, match="decay"):
        ewma_volatility(np.ones((3, 1)), 1.0)


@pytest.mark.parametrize(("decay", "half_life"), [(0.94, 11.2), (0.97, 22.8)])
def test_half_lives_as_published(decay, half_life):
    shock = np.zeros((400, 1))
    shock[0] = 1.0
    expected, _ = ewma_volatility(shock, decay)
    variance = expected[1:, 0] ** 2
    assert np.log(0.5) / np.log(variance[20] / variance[19]) == pytest.approx(half_life, abs=0.05)


def test_filtered_history_is_each_standardised_return_at_tomorrows_volatility():
    returns = np.array([0.01, 0.02, -0.03])
    expected, following = ewma_volatility(returns[:, None], 0.94)
    assert filtered_returns(returns) == pytest.approx(returns / expected[:, 0] * following[0])
