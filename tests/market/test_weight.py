"""The weight budget: never past the reserve, and the venue's count beats ours."""

from __future__ import annotations

from qtm.clock import ManualClock
from qtm.market.weight import WeightBudget


def test_spending_waits_for_the_next_minute_when_the_reserve_is_reached() -> None:
    clock = ManualClock(60_000 * 10 + 45_000)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.set_ms(clock.now_ms() + round(seconds * 1000))

    budget = WeightBudget(100, clock, sleep)
    for _ in range(8):
        budget.spend(10)
    assert [round(wait, 2) for wait in waits] == [15.05], "70 of 100 may be spent, the eighth ten waits"
    assert budget.used == 10


def test_the_venues_higher_count_is_believed_and_a_new_minute_forgets_it() -> None:
    clock = ManualClock(600_000)
    budget = WeightBudget(100, clock, lambda _seconds: None)
    budget.spend(10)
    budget.learn({"x-mbx-used-weight-1m": "40"})
    assert budget.used == 40
    budget.learn({"X-MBX-USED-WEIGHT-1M": "12"})
    assert budget.used == 40
    clock.set_ms(660_000)
    budget.spend(1)
    assert budget.used == 1


def test_one_request_larger_than_the_budget_is_still_made() -> None:
    waits: list[float] = []
    budget = WeightBudget(10, ManualClock(0), waits.append)
    budget.spend(20)
    assert waits == []
