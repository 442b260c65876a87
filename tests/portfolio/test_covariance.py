"""Covariances against scikit-learn 1.x, whose figures are written down here."""

import numpy as np
import pytest

from qtm.portfolio.covariance import CovarianceModel, covariance
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.shrinkage_returns import RETURNS, UNEVEN

SHRUNK = (CovarianceModel.LEDOIT_WOLF, CovarianceModel.OAS)


def intensity(returns, model):
    sample, shrunk = covariance(returns, CovarianceModel.SAMPLE), covariance(returns, model)
    return 1.0 - shrunk[0, 1] / sample[0, 1]


@pytest.mark.parametrize(
    ("returns", "model", "published"),
    [
        (RETURNS, CovarianceModel.LEDOIT_WOLF, 0.8279157754784046),
        (RETURNS, CovarianceModel.OAS, 1.0),
        (UNEVEN, CovarianceModel.LEDOIT_WOLF, 0.06704680466169112),
        (UNEVEN, CovarianceModel.OAS, 0.11146262051983288),
    ],
)
def test_the_intensity_is_that_of_scikit_learn(returns, model, published):
    assert intensity(returns, model) == pytest.approx(published, rel=1e-10)


@pytest.mark.parametrize("model", SHRUNK)
def test_shrinkage_keeps_the_total_variance_and_makes_a_singular_covariance_definite(model):
    returns = heavy_tailed_returns(30, 20, 91)
    sample, shrunk = covariance(returns, CovarianceModel.SAMPLE), covariance(returns, model)
    assert np.trace(shrunk) == pytest.approx(np.trace(sample))
    assert np.linalg.eigvalsh(sample)[0] == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.eigvalsh(shrunk)[0] > 1e-6


@pytest.mark.parametrize("model", SHRUNK)
def test_shrinkage_is_strong_with_few_rows_and_weak_with_many(model):
    few, many = heavy_tailed_returns(20, 30, 9), heavy_tailed_returns(20, 50_000, 9)
    assert intensity(few, model) > 0.1
    assert 0.0 <= intensity(many, model) < 0.01


@pytest.mark.parametrize("model", list(CovarianceModel))
def test_one_symbol_and_none_that_moves_have_a_covariance(model):
    single = heavy_tailed_returns(1, 50, 92)
    assert covariance(single, model) == pytest.approx(np.array([[single.var()]]))
    assert (covariance(np.zeros((50, 3)), model) == 0.0).all()
