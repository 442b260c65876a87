"""One backtest beside frameworks that step in Python: backtesting.py, nautilus_trader, jesse and freqtrade.

The same year of one-minute bars and the same crossing of averages. They do not all trade alike, so only
backtesting.py must end where we end: nautilus_trader and jesse fill at the close that decides, and freqtrade
stakes an amount of money instead of one unit. Their seconds are those of the backtest alone; what each needs
to bring the bars into its own form stands beside.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks._bars import CASH, FAST, FEE, INSTRUMENT, SLOW, one_year, peak_mb, seconds
from benchmarks._peers import FOLDER, ORDER_PACKAGES, peer_python, run_peer
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel

PEERS = {
    "_backtesting.py": ("peers-backtesting", ("backtesting==0.6.6", "pandas<3")),
    "_nautilus_bars.py": ("peers-orders", ORDER_PACKAGES),
    "_jesse_bars.py": ("peers-jesse", ("jesse==3.5.3",)),
    "_freqtrade_bars.py": ("peers-freqtrade", ("freqtrade==2026.9",)),
}
HEADER = f"{'':34} {'seconds':>10} {'k bars/s':>10} {'x ours':>9} {'bringing':>9} {'peak MiB':>9}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=525_600, help="one-minute bars")
    count = parser.parse_args().bars
    bars, trend = one_year().slice(0, count), load_strategy("trend")

    def ours() -> BacktestResult:
        result = run_backtest(
            trend, {"fast": FAST, "slow": SLOW}, bars, INSTRUMENT, cash=CASH,
            costs=CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE), sizing=Sizing(SIZE_BY_UNITS, 1.0),
        )  # fmt: skip
        _ = result.statistics
        return result

    _, median = seconds(ours, 21)
    memory, result = peak_mb(), ours()
    print(HEADER)
    print(line("qtm: run_backtest and statistics", median, count, median, 0.0, memory))
    outcomes = [f"qtm: {len(result.trades):,} round trips, final equity {result.equity[-1]:,.2f}"]
    FOLDER.mkdir(exist_ok=True)
    path = (FOLDER / "frameworks.npz").resolve()
    np.savez(path, **{name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")})
    for script, (home, packages) in PEERS.items():
        python = peer_python(home, packages)
        for peer in [] if python is None else run_peer(script, str(path), python=python):
            print(line(peer["name"], peer["seconds"], count, median, peer["bringing"], peer["peak_mb"]))
            outcomes.append(
                f"{peer['name']}: {peer['trips']:,} round trips, final equity {peer['final']:,.2f}"
            )
    print("\n".join(outcomes))


def line(name: str, taken: float, bars: int, against: float, bringing: float, memory: float) -> str:
    """One line of the table; `against` are the seconds of our own run."""
    return (
        f"{name:34} {taken:10.4f} {bars / taken / 1e3:10,.1f} {taken / against:9,.0f} "
        f"{bringing:9.2f} {memory:9,.0f}"
    )


if __name__ == "__main__":
    main()
