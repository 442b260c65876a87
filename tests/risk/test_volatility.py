"""The volatility filter, by hand."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.volatility import ewma_volatility


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
