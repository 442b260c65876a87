"""Expected returns against skfolio 1.12.2, PyPortfolioOpt 1.6.0 and He and Litterman's published table."""

import numpy as np
import pytest

from qtm.errors import ConfigError, RiskError
from qtm.portfolio.means import bayes_stein_mean, james_stein_mean
from qtm.portfolio.views import View, equilibrium_mean, mean_with_views
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.shrinkage_returns import RETURNS

COUNTRIES = ("Australia", "Canada", "France", "Germany", "Japan", "UK", "USA")
CORRELATION = np.array(
    [
        [1.000, 0.488, 0.478, 0.515, 0.439, 0.512, 0.491],
        [0.488, 1.000, 0.664, 0.655, 0.310, 0.608, 0.779],
        [0.478, 0.664, 1.000, 0.861, 0.355, 0.783, 0.668],
        [0.515, 0.655, 0.861, 1.000, 0.354, 0.777, 0.653],
        [0.439, 0.310, 0.355, 0.354, 1.000, 0.405, 0.306],
        [0.512, 0.608, 0.783, 0.777, 0.405, 1.000, 0.652],
        [0.491, 0.779, 0.668, 0.653, 0.306, 0.652, 1.000],
    ]
)
VOLATILITY = np.array([16.0, 20.3, 24.8, 27.1, 21.0, 20.0, 18.7]) / 100
COVARIANCE = CORRELATION * VOLATILITY * VOLATILITY[:, None]
MARKET = np.array([1.6, 2.2, 5.2, 5.5, 11.6, 12.4, 61.5]) / 100


def test_he_and_litterman_equilibrium():
    """Table 2 of the paper, in per cent."""
    mean = 100 * equilibrium_mean(COVARIANCE, MARKET, 2.5)
    assert mean == pytest.approx([3.9, 6.9, 8.4, 9.0, 4.3, 6.8, 7.6], abs=0.05)


def test_he_and_litterman_germany_against_the_rest_of_europe():
    """Table 4: Germany 5 % above France and the UK together, which a synthetic European index stands for."""
    basket = np.zeros(7)
    basket[[2, 5]] = 0.295, 0.705
    wide = np.vstack((np.eye(7), basket))
    spread, prior = wide @ COVARIANCE @ wide.T, wide @ equilibrium_mean(COVARIANCE, MARKET, 2.5)
    along = wide[3] - wide[7]
    doubt = 0.021 / (along[:7] @ COVARIANCE @ along[:7])  # the paper's variance of the view, over tau
    view = View("Germany", 0.05, "Europe", confidence=1.0 / (1.0 + doubt))
    posterior = 100 * mean_with_views(prior, spread, (*COUNTRIES, "Europe"), (view,))
    assert posterior[:7] == pytest.approx([4.3, 7.6, 9.3, 11.0, 4.5, 7.0, 8.1], abs=0.06)


def test_views_with_confidences_are_those_of_pyportfolioopt():
    symbols = tuple("ABCDEF")
    views = (View("A", 0.004, confidence=0.6), View("B", 0.002, "D", confidence=0.25))
    mean = mean_with_views(RETURNS.mean(axis=0), np.cov(RETURNS, rowvar=False), symbols, views)
    published = [
        0.003499092753146832, 0.0016439148380150972, 0.00037804854696480935,
        -0.000802068574197419, 0.0024986485044218476, 0.0009240623632325764,
    ]  # fmt: skip
    assert mean == pytest.approx(published, rel=1e-9)


def test_a_certain_view_holds_exactly_and_no_view_changes_nothing():
    prior = RETURNS.mean(axis=0)
    spread = np.cov(RETURNS, rowvar=False)
    assert mean_with_views(prior, spread, tuple("ABCDEF"), ()) is prior
    sure = mean_with_views(prior, spread, tuple("ABCDEF"), (View("C", 0.01, "F", confidence=1.0),))
    assert sure[2] - sure[5] == pytest.approx(0.01)


def test_james_stein_is_that_of_skfolio():
    published = [
        0.002193221502602988, 0.0014129137271056207, 0.000624312768153432,
        -0.00011267407356614818, 0.002080079249995805, 0.0010507564793972716,
    ]  # fmt: skip
    assert james_stein_mean(RETURNS) == pytest.approx(published, rel=1e-9)


def test_james_stein_leaves_what_moves_as_one_and_single_symbols_alone():
    together = heavy_tailed_returns(1, 300, 93) @ np.ones((1, 5)) + 1e-6 * heavy_tailed_returns(5, 300, 94)
    assert (james_stein_mean(together) == together.mean(axis=0)).all()
    assert james_stein_mean(together[:, :1]) == pytest.approx(together[:, :1].mean(axis=0))
    assert (james_stein_mean(np.zeros((50, 3))) == 0.0).all()


def test_james_stein_never_overshoots_its_target():
    returns = np.random.default_rng(5).standard_normal((20, 30)) * 0.02
    mean = james_stein_mean(returns)
    assert np.ptp(mean) <= np.ptp(returns.mean(axis=0))
    assert mean.mean() == pytest.approx(returns.mean())


def test_shrunk_means_lie_between_the_sample_and_one_target():
    returns = heavy_tailed_returns(6, 300, 4)
    sample, shrunk = returns.mean(axis=0), bayes_stein_mean(returns)
    assert np.ptp(shrunk) < np.ptp(sample)
    assert (np.argsort(shrunk) == np.argsort(sample)).all()
    many = heavy_tailed_returns(6, 200_000, 4)
    assert np.ptp(bayes_stein_mean(many)) > 0.9 * np.ptp(many.mean(axis=0))


def test_shrinkage_survives_a_duplicated_asset_and_refuses_too_few_rows():
    returns = heavy_tailed_returns(3, 100, 5)
    assert np.isfinite(bayes_stein_mean(np.column_stack([returns, returns[:, 0]]))).all()
    with pytest.raises(RiskError, match="too few"):
        bayes_stein_mean(returns[:5])


def test_views_are_read_as_they_are_written():
    assert View.parse("SOLUSDT-BTCUSDT:0.001@0.6") == View("SOLUSDT", 0.001, "BTCUSDT", 0.6)
    assert View.parse("ETHUSDT:-0.002") == View("ETHUSDT", -0.002)


@pytest.mark.parametrize("text", ["ETHUSDT", ":0.1", "ETHUSDT:much", "ETHUSDT:0.1@2", "ETHUSDT-ETHUSDT:0.1"])
def test_what_is_no_view_is_refused(text):
    with pytest.raises(ConfigError):
        View.parse(text)


def test_views_that_cannot_be_mixed_are_refused_by_name():
    spread = np.cov(RETURNS, rowvar=False)
    prior, symbols = RETURNS.mean(axis=0), tuple("ABCDEF")
    with pytest.raises(RiskError, match="DOGE"):
        mean_with_views(prior, spread, symbols, (View("DOGE", 0.1),))
    twice = (View("A", 0.1, confidence=1.0), View("A", 0.2, confidence=1.0))
    with pytest.raises(RiskError, match="certain"):
        mean_with_views(prior, spread, symbols, twice)
    still = spread.copy()
    still[0], still[:, 0] = 0.0, 0.0
    with pytest.raises(RiskError, match="never moves"):
        mean_with_views(prior, still, symbols, (View("A", 0.1),))
