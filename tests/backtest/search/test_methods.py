"""Grid, random and Bayesian search: what they propose, and that a crash does not change it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qtm.backtest.search.methods import Method, search
from qtm.backtest.search.space import Space
from qtm.errors import ConfigError, StrategyError
from qtm.strategies.registry import load_strategy

TREND = load_strategy("trend")
SPACE = Space.of(TREND, {"fast": range(2, 22), "slow": range(30, 130, 5)})


def score(number: int) -> float | None:
    """A smooth hill with its top at fast 12, slow 80; nothing on one edge."""
    fast, slow = SPACE.places(number)
    return None if fast == 0 else -((fast - 10) ** 2) - (slow - 10) ** 2


def run(
    method: Method, known: dict[int, float | None], trials: int | None, stop: int | None = None
) -> list[int]:
    """Search until `stop` combinations are new; `known` is what an earlier process found, and grows."""
    plan, order = search(SPACE, method, trials, seed=7), []
    while batch := plan.propose():
        for number in batch:
            if stop is not None and len(order) >= stop:
                return order
            if number not in known:
                known[number] = score(number)
                order.append(number)
        plan.tell(batch, [known[number] for number in batch])
    return order


def test_a_grid_is_every_combination_in_its_order() -> None:
    assert run(Method.GRID, {}, None) == list(range(400))
    assert SPACE.params(21)._asdict() == {"fast": 3, "slow": 35, "below": 0.0}


def test_random_search_draws_without_repetition_and_by_its_seed_alone() -> None:
    drawn = run(Method.RANDOM, {}, 50)
    assert len(set(drawn)) == 50 and drawn == run(Method.RANDOM, {}, 50)
    assert drawn != sorted(drawn)
    assert list(search(SPACE, Method.RANDOM, 50, seed=8).propose()) != drawn
    assert sorted(run(Method.RANDOM, {}, 1_000)) == list(range(400))


def test_bayesian_search_climbs_the_hill_with_fewer_trials_than_chance_needs() -> None:
    tried = run(Method.BAYES, {}, 96)
    assert len(set(tried)) == len(tried) == 96
    best = max(number for number in tried if score(number) is not None and score(number) >= -2.0)
    assert score(best) >= -2.0
    late = [score(number) or 0.0 for number in tried[-32:]]
    early = [score(number) or 0.0 for number in tried[:16]]
    assert sum(late) / len(late) > sum(early) / len(early)


@pytest.mark.parametrize("method", [Method.GRID, Method.RANDOM, Method.BAYES])
@pytest.mark.parametrize("stop", [1, 20, 33])
def test_a_search_that_was_killed_ends_with_the_same_combinations(method: Method, stop: int) -> None:
    trials = None if method is Method.GRID else 64
    whole: dict[int, float | None] = {}
    run(method, whole, trials)
    pieces: dict[int, float | None] = {}
    first = run(method, pieces, trials, stop)
    second = run(method, pieces, trials)
    assert pieces == whole and not set(first) & set(second)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: search(SPACE, Method.RANDOM), ConfigError),
        (lambda: search(SPACE, Method.GRID, 10), ConfigError),
        (lambda: Space.of(TREND, {"fast": []}), StrategyError),
        (lambda: Space.of(TREND, {"slow": [50, 5_000]}), StrategyError),
        (lambda: Space.of(TREND, {"speed": [1]}), StrategyError),
    ],
)
def test_what_cannot_be_searched_is_refused(ask: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        ask()
