"""A plan in compiled code is made as in Python: with fields left out, named, or whole numbers."""

import numba
import numpy as np
import pytest

from qtm.trading.plan import KEEP, Plan, plan_of


def answered(price: float) -> Plan:
    if price > 4.0:
        return KEEP
    if price > 3.0:
        return Plan(0)
    if price > 2.0:
        return Plan(1.0, trail=2 * price)
    if price > 1.0:
        return plan_of(price)
    return Plan(-1, price, take_profit=0)


@pytest.mark.parametrize("price", [5.0, 3.5, 2.5, 1.5, 0.5])
def test_compiled_plans_equal_those_of_python(price):
    made = _compiled(price)
    assert isinstance(made, Plan)
    np.testing.assert_array_equal(made, answered(price))


_compiled = numba.njit(answered)
