"""What an examination was made under decides whether it may stand as evidence for promotion."""

import dataclasses

import pytest

from qtm.backtest.overfitting.assessment import assess
from qtm.backtest.registry import TrialRegistry
from qtm.errors import RiskError
from qtm.honesty import other_terms, put_on_record
from qtm.research.examined import verdict_on_record
from qtm.risk.sizing_rules import sizer_of
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.overfitting.market import bars_from, conditions, trending_steps

TREND = load_strategy("trend")
GRID = [TREND.params({"fast": fast, "slow": 20}) for fast in (3, 5)]
MARKET = conditions(bars_from(trending_steps(60, 1)))


def other(**changes):
    return dataclasses.replace(MARKET, **changes)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (other(costs=SPOT_COSTS._replace(taker_rate=0.0)), "taker_rate on spot was 0, usual is 0.001"),
        (other(costs=SPOT_COSTS._replace(slippage_bps=0.5)), "slippage_bps on spot was 0.5, usual is 1"),
        (other(cash=1e6), "it had 1e+06, the firm's capital is 100,000"),
        (other(sizing=sizer_of("volatility:target=0.02")), "it was sized rule volatility"),
    ],
)
def test_easier_terms_than_the_candidates_are_told_apart(terms, words):
    (found,) = other_terms(terms.run(TREND, GRID[0]), 100_000.0)
    assert found.startswith(words)


def test_the_usual_terms_and_dearer_costs_are_evidence():
    dearer = other(costs=SPOT_COSTS._replace(taker_rate=0.002, impact=1.0))
    for terms in (MARKET, dearer):
        assert other_terms(terms.run(TREND, GRID[0]), 100_000.0) == []


def test_a_verdict_made_without_fees_is_never_put_on_record(tmp_path):
    url = f"sqlite:///{tmp_path / 'qtm.db'}"
    registry = TrialRegistry(open_database(url))
    free = assess(TREND, GRID, other(costs=SPOT_COSTS._replace(taker_rate=0.0)), registry, resamples=200)
    with pytest.raises(RiskError, match="no evidence for promotion: taker_rate"):
        put_on_record(free, "ann", url)
    assert verdict_on_record(TREND, free.result, url) is None
    usual = assess(TREND, GRID, MARKET, registry, resamples=200)
    put_on_record(usual, "ann", url)
    assert verdict_on_record(TREND, usual.result, url) == usual.verdict
