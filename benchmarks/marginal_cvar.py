"""What one order adds to the book's CVaR: 50 symbols x 5,000 scenarios, against full revaluation in numpy."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count

import numpy as np

from qtm.market.instruments import Instrument, Market
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.limits import load_limits
from qtm.risk.marginal import BookCvar
from qtm.risk.measures import Floats, historical_cvar
from qtm.risk.tail_limit import TailLimit
from qtm.settings import RiskSettings
from qtm.trading.orders import OrderIntent, OrderType, Side, TimeInForce

SYMBOLS, SCENARIOS, ORDERS, ROUNDS = 50, 5_000, 500, 9
NOW_MS = 1_700_000_000_000
GOAL_US = 50.0
_COIN = Instrument(
    Market.SPOT, "", "", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"),
    Decimal(10**9), Decimal(5),
)  # fmt: skip


def microseconds(judge: Callable[[int], object]) -> tuple[float, float]:
    """Best and median round of the microseconds one order takes."""
    judge(0)
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for order in range(ORDERS):
            judge(order)
        rounds.append((time.perf_counter() - started) / ORDERS * 1e6)
    return min(rounds), statistics.median(rounds)


def cell(judge: Callable[[int], object]) -> str:
    """Best and median round as text."""
    best, middle = microseconds(judge)
    return f"{best:.1f} ({middle:.1f})"


def exact_account(
    names: Sequence[str], positions: Floats, values: Sequence[float]
) -> tuple[Exposure, list[OrderIntent]]:
    """The same book as the gate holds it, in exact decimals at a price of 100, and the orders on it."""
    price = Decimal(100)
    sizes = {name: Decimal(round(value)) / price for name, value in zip(names, positions, strict=True)}
    account = Exposure("USDT", {name: name[:3] for name in names}, Decimal(1_000_000), sizes)
    for name in names:
        account.mark(name, price, NOW_MS)
    orders = [
        OrderIntent(
            f"b-{number}", "b", names[number % len(names)], Side.BUY if value > 0 else Side.SELL,
            OrderType.LIMIT, abs(Decimal(round(value)) / price), price, TimeInForce.IOC, NOW_MS,
        )
        for number, value in enumerate(values)
    ]  # fmt: skip
    for intent in orders[:10]:
        account.reserve(intent, NOW_MS)
    return account, orders


def figures(alpha: float) -> dict[str, str]:
    """Every line of the table at one confidence level."""
    draws = np.random.default_rng(7)
    market = draws.standard_t(4, size=(SCENARIOS, 1)) * 0.02
    returns = draws.standard_t(4, size=(SCENARIOS, SYMBOLS)) * 0.02 + market
    columns = np.ascontiguousarray(returns.T)
    positions = draws.normal(size=SYMBOLS) * 10_000
    values = [float(value) for value in draws.normal(size=ORDERS) * 20_000]
    names = [f"S{column:02d}USDT" for column in range(SYMBOLS)]
    pnl = returns @ positions
    book = BookCvar(names, returns, alpha, as_of_ms=NOW_MS, max_age_ms=86_400_000)
    for name, position in zip(names, positions, strict=True):
        book.set_position(name, float(position))

    def judge(order: int) -> float:
        return book.order(names[order % SYMBOLS], values[order], NOW_MS).after

    def at_the_gate(order: int) -> object:
        return limit.finding(orders[order], account, equity, NOW_MS)

    def after_a_price(order: int) -> object:
        account.mark(names[order % SYMBOLS], Decimal(100 + order % 7), NOW_MS)
        return limit.finding(orders[order], account, account.equity(), NOW_MS)

    def decided(order: int) -> object:
        intent = replace(orders[order], client_order_id=f"d-{next(numbers)}")
        outcome = gate.check(intent, NOW_MS)
        gate.on_terminal(intent.client_order_id)
        return outcome

    def fill(order: int) -> float:
        book.set_position(names[order % SYMBOLS], values[order])
        return book.cvar(NOW_MS)

    def kept_and_partitioned(order: int) -> float:
        return historical_cvar(pnl + values[order] * columns[order % SYMBOLS], alpha)

    def revalued(order: int) -> float:
        changed = positions.copy()
        changed[order % SYMBOLS] += values[order]
        return historical_cvar(returns @ changed, alpha)

    gap = max(abs(judge(order) / revalued(order) - 1) for order in range(ORDERS))
    table = {"largest relative difference": f"{gap:.1e}", "order, nothing working": cell(judge)}
    for column in range(0, SYMBOLS, 5):
        book.set_working(names[column], buys=5_000.0, sells=0.0)
        book.set_working(names[column + 1], buys=0.0, sells=5_000.0)
    table["order, buys and sells working"] = cell(judge)
    account, orders = exact_account(names, positions, values)
    limit = TailLimit(book, Decimal("0.05"))
    listed = [replace(_COIN, symbol=name, base=name[:3]) for name in names]
    gate = Gate(load_limits(RiskSettings(), listed), listed, account, limit)
    gate.arm(NOW_MS, "benchmark")
    numbers = count()
    equity = account.equity()
    table["the gate's finding, exact account"] = cell(at_the_gate)
    table["a whole decision at the gate"] = cell(decided)
    table["a price, then the gate's finding"] = cell(after_a_price)
    table["fill, then the book's new CVaR"] = cell(fill)
    table["numpy: kept P&L, partition"] = cell(kept_and_partitioned)
    table["numpy: full revaluation"] = cell(revalued)
    return table


def main() -> None:
    print(f"{SYMBOLS} symbols x {SCENARIOS:,} scenarios; microseconds: best (median) of {ROUNDS} rounds")
    tables = {alpha: figures(alpha) for alpha in (0.95, 0.975, 0.99)}
    print(f"{'':34}" + "".join(f"{alpha:>20.1%}" for alpha in tables))
    for title in tables[0.95]:
        print(f"{title:34}" + "".join(f"{table[title]:>20}" for table in tables.values()))
    kept = (SYMBOLS + 4) * SCENARIOS * 8 / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"goal {GOAL_US:.0f} us an order; evaluator {kept:.1f} MB; peak of the process {peak:.0f} MB")


if __name__ == "__main__":
    main()
