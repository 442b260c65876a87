"""The back-cast holds weights through days the book had prices, and says which."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.back_cast import back_cast

CLOSES = np.array([[100.0, np.nan], [110.0, np.nan], [99.0, 50.0], [99.0, 55.0]])


def test_only_days_that_cover_the_book_count():
    path, rows = back_cast(CLOSES, np.array([0.5, 0.5]))
    assert path == pytest.approx([0.05])
    assert list(rows) == [3]


def test_what_has_no_price_moves_like_the_rest():
    path, rows = back_cast(CLOSES, np.array([0.95, 0.05]))
    assert path == pytest.approx([0.10, -0.10, 0.005])
    assert list(rows) == [1, 2, 3]


def test_an_empty_book_never_moves():
    path, _ = back_cast(CLOSES, np.zeros(2))
    assert (path == 0.0).all()


def test_a_book_that_never_had_prices_together_is_refused():
    with pytest.raises(RiskError, match="90%"):
        back_cast(CLOSES[:2], np.array([0.5, 0.5]))
    with pytest.raises(RiskError, match="belong together"):
        back_cast(CLOSES, np.ones(3))
