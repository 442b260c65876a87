"""CSCV against its published split counts, its limit cases and a slow loop written from the paper."""

from itertools import combinations
from math import comb, log

import numpy as np
import pytest

from qtm.backtest.overfitting import pbo
from qtm.backtest.overfitting.pbo import probability_of_backtest_overfitting
from qtm.errors import RiskError


def noise(seed, rows=1000, trials=100):
    return np.random.default_rng(seed).normal(0.0, 0.01, (rows, trials))


def by_the_paper(values, blocks):
    """Logits by the paper's own steps, one split at a time."""
    parts = np.split(values, blocks)
    logits = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        best = np.argmax(inside.mean(0) / inside.std(0, ddof=1))
        sharpe = outside.mean(0) / outside.std(0, ddof=1)
        rank = (sharpe <= sharpe[best]).sum()
        w = rank / (values.shape[1] + 1)
        logits.append(log(w / (1 - w)))
    return np.array(logits)


@pytest.mark.parametrize(
    ("blocks", "splits"), [(4, 6), (6, 20), (8, 70), (10, 252), (12, 924), (14, 3432), (16, 12_870)]
)
def test_number_of_splits(blocks, splits):
    outcome = probability_of_backtest_overfitting(noise(0, rows=64, trials=3), blocks)
    assert outcome.splits == splits == comb(blocks, blocks // 2)


def test_logits_are_those_of_the_papers_loop():
    values = noise(3, rows=160, trials=12)
    outcome = probability_of_backtest_overfitting(values, 8)
    np.testing.assert_allclose(outcome.logits, by_the_paper(values, 8), atol=1e-12)


def test_noise_is_overfit_half_the_time():
    draws = [probability_of_backtest_overfitting(noise(seed), 8).probability for seed in range(60)]
    assert np.mean(draws) == pytest.approx(0.49, abs=0.07)
    assert np.std(draws) == pytest.approx(0.17, abs=0.05)


def test_demeaned_trials_are_always_overfit():
    values = noise(4)
    outcome = probability_of_backtest_overfitting(values - values.mean(axis=0), 8)
    assert outcome.probability == 1.0
    assert outcome.degradation < 0.0


def test_one_skilful_trial_is_never_overfit():
    values = noise(5)
    values[:, 17] += 0.3 * 0.01
    outcome = probability_of_backtest_overfitting(values, 8)
    assert outcome.probability == 0.0
    assert outcome.probability_of_loss == 0.0


def test_oldest_rows_that_fill_no_block_are_left_out():
    values = noise(6, rows=163, trials=5)
    whole = probability_of_backtest_overfitting(values, 8)
    assert whole.rows == 160
    np.testing.assert_array_equal(whole.logits, probability_of_backtest_overfitting(values[3:], 8).logits)


def test_memory_chunks_do_not_change_the_answer(monkeypatch):
    values = noise(7, rows=100, trials=9)
    whole = probability_of_backtest_overfitting(values, 10)
    monkeypatch.setattr(pbo, "_CHUNK_BYTES", 9 * 8 * 7)
    parts = probability_of_backtest_overfitting(values, 10)
    np.testing.assert_array_equal(whole.logits, parts.logits)
    np.testing.assert_array_equal(whole.out_of_sample, parts.out_of_sample)


def test_trials_that_never_trade_rank_as_zero():
    values = np.zeros((80, 3))
    values[:, 0] = noise(8, 80, 1)[:, 0] - 0.01
    outcome = probability_of_backtest_overfitting(values, 8)
    assert set(outcome.out_of_sample) == {0.0}
    np.testing.assert_allclose(outcome.logits, log(2.5 / 1.5))


@pytest.mark.parametrize(
    ("values", "blocks", "words"),
    [
        (noise(0, 100, 1), 8, "two trials"),
        (noise(0, 15, 4), 8, "at least 16 periods"),
        (noise(0, 100, 4), 7, "even"),
        (noise(0, 100, 4), 22, "from 4 to 20"),
        (np.full((100, 2), 0.01), 8, "same return"),
        (np.where(noise(0, 100, 4) > 0.02, np.nan, 0.1), 8, "not a number"),
    ],
)
def test_unusable_input_is_refused(values, blocks, words):
    with pytest.raises(RiskError, match=words):
        probability_of_backtest_overfitting(values, blocks)


def test_ending_exactly_at_the_median_counts_as_overfit():
    twins = np.repeat(noise(9, 80, 1), 2, axis=1)
    outcome = probability_of_backtest_overfitting(twins, 8)
    assert not outcome.logits.any() and outcome.probability == 1.0
