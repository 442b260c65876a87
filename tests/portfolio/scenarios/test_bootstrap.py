"""The block bootstrap: seeded, made of history's days, and keeping clusters that single days lose."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.scenarios.bootstrap import Blocks, block_bootstrap
from qtm.portfolio.scenarios.reshaped import exponentially_weighted
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.scenarios.sets import scenario_set


def clustered(rows: int = 1500, seed: int = 1) -> np.ndarray:
    """Two series whose volatility and direction persist for weeks."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.choice([-0.01, 0.01], rows // 30 + 1), 30)[:rows]
    return drift[:, None] + 0.005 * rng.standard_normal((rows, 2))


@pytest.mark.parametrize("blocks", list(Blocks))
def test_the_same_seed_draws_the_same_scenarios_and_another_does_not(blocks):
    history = scenario_set(heavy_tailed_returns(3, 300, 1))
    one, two = (block_bootstrap(history, draws=700, blocks=blocks, seed=5) for _ in range(2))
    other = block_bootstrap(history, draws=700, blocks=blocks, seed=6)
    assert (one.returns == two.returns).all()
    assert (one.returns != other.returns).any()
    assert one.returns.shape == (700, 3) and one.provenance.seed == 5


def test_single_days_are_days_of_history_with_the_distribution_of_history():
    history = scenario_set(heavy_tailed_returns(3, 400, 2))
    drawn = block_bootstrap(history, draws=40_000, seed=1)
    days = {row.tobytes(): time for row, time in zip(history.returns, history.open_time_ms, strict=True)}
    assert all(
        days[row.tobytes()] == time for row, time in zip(drawn.returns, drawn.open_time_ms, strict=True)
    )
    weights = np.full(3, 1 / 3)
    assert drawn.cvar(weights, 0.95) == pytest.approx(history.cvar(weights, 0.95), rel=0.05)


def test_whole_history_as_one_circular_block_compounds_consecutive_days():
    history = scenario_set(heavy_tailed_returns(2, 40, 3))
    drawn = block_bootstrap(history, draws=4, horizon=10, block=40, blocks=Blocks.CIRCULAR, seed=2)
    twice = np.vstack((history.returns, history.returns))
    runs = [np.prod(1 + twice[first : first + 10], axis=0) - 1 for first in range(40)]
    for scenario in drawn.returns:
        assert min(np.abs(scenario - run).max() for run in runs) < 1e-12


def test_blocks_keep_the_clusters_that_single_days_lose():
    history = scenario_set(clustered())
    weights = np.full(2, 0.5)
    kept = block_bootstrap(history, draws=4000, horizon=10, block=30, seed=3)
    lost = block_bootstrap(history, draws=4000, horizon=10, block=1, seed=3)
    assert kept.cvar(weights, 0.95) > 1.3 * lost.cvar(weights, 0.95)


def test_the_automatic_block_is_longer_for_clustered_sizes():
    rng = np.random.default_rng(4)
    calm = rng.standard_normal((1500, 2)) * 0.01
    wild = calm * np.repeat(rng.choice([0.3, 3.0], 50), 30)[:, None]
    lengths = [
        block_bootstrap(scenario_set(table), draws=100).provenance.parameters["block"]
        for table in (calm, wild)
    ]
    assert lengths[1] > 3 * lengths[0]


def test_what_cannot_be_redrawn_is_refused():
    history = scenario_set(heavy_tailed_returns(2, 50, 5))
    for wrong in ({"draws": 0}, {"horizon": 51}, {"horizon": 0}, {"block": 51.0}, {"block": 0.5}):
        with pytest.raises(RiskError):
            block_bootstrap(history, **wrong)
    with pytest.raises(RiskError, match="equally likely"):
        block_bootstrap(exponentially_weighted(history))
