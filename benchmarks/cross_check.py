"""The same moving-average cross in vectorbt and backtesting.py: trades and equity must agree to 1e-9."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._bars import CASH, FAST, FEE, INSTRUMENT, SLOW, one_year
from benchmarks._peers import FOLDER, peer_python, run_peer
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel

BARS = 200_000
TOLERANCE = 1e-9
PACKAGES = ("backtesting==0.6.6", "pandas<3")


def main() -> int:
    """Print the comparison; 1 when an engine disagrees."""
    bars = one_year().slice(0, BARS)
    result = run_backtest(
        load_strategy("trend"), {"fast": FAST, "slow": SLOW}, bars, INSTRUMENT, cash=CASH,
        costs=CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE), sizing=Sizing(SIZE_BY_UNITS, 1.0),
        trade_from_ms=int(bars.open_time_ms[SLOW]),  # as backtesting.py, a bar after the averages' first
    )  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "cross_check.npz"
    columns = ("open", "high", "low", "close", "volume")
    np.savez(path, **{name: getattr(bars, name) for name in columns})
    print(f"{BARS:,} bars, {len(result.trades):,} round trips, final equity {result.equity[-1]:,.6f}")
    worst = 0.0
    for script, python in (
        ("_vectorbt_trades.py", peer_python()),
        ("_backtesting.py", peer_python("peers-backtesting", PACKAGES)),
    ):
        answer = FOLDER / f"{script.removesuffix('.py')}.npz"
        asked = run_peer(script, str(path), str(answer), python=python) if python else []
        if not asked:
            worst = float("inf")
        for peer in asked:
            found = disagreement(result, answer)
            worst = max(worst, *found.values())
            print(f"{peer['name']}: {peer['seconds']:.2f} s, final equity {peer['final']:,.6f}")
            for what, value in found.items():
                print(f"    {what:28} {value:.2e}")
    verdict = "agree" if worst <= TOLERANCE else "DISAGREE"
    print(f"engines {verdict}: largest relative difference {worst:.2e}, allowed {TOLERANCE:.0e}")
    return 0 if worst <= TOLERANCE else 1


def disagreement(result: BacktestResult, path: Path) -> dict[str, float]:
    """Largest relative differences of the closed trades and of equity at every bar; infinite in number."""
    theirs: Any = np.load(path)
    mine = result.trades
    # backtesting.py closes what is open on the last bar; that trade is nobody else's.
    count = min(len(mine), theirs["entry"].size)
    if abs(len(mine) - theirs["entry"].size) > 1:
        return {"number of trades": float("inf")}
    order = np.argsort(theirs["entry"], kind="stable")[:count]

    def apart(ours: Any, other: Any, scale: Any) -> float:
        return float(np.max(np.abs(ours - other) / scale))

    entry, exit_ = theirs["entry"][order], theirs["exit"][order]
    last = min(result.equity.size, theirs["equity"].size) - 1
    paid, got = mine["entry_price"][:count], mine["exit_price"][:count]
    return {
        "bars of entry and exit": float(
            (mine["entry_bar"][:count] != entry).sum() + (mine["exit_bar"][:count] != exit_).sum()
        ),
        "entry price": apart(paid, theirs["entry_price"][order], paid),
        "exit price": apart(got, theirs["exit_price"][order], got),
        "profit over notional": apart(mine["profit"][:count], theirs["profit"][order], paid),
        "equity at every bar": apart(result.equity[:last], theirs["equity"][:last], CASH),
    }


if __name__ == "__main__":
    sys.exit(main())
