"""An examination takes decisions again without their future, on the history it examines."""

from __future__ import annotations

import pytest

from qtm.backtest.account.proofs import check_account_strategy
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.overfitting.assessment import assess
from qtm.backtest.registry import TrialRegistry
from qtm.errors import StrategyError
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from tests.backtest.account.markets import wandering

HEADER = """\
from typing import NamedTuple
from qtm.strategies.python_contract import python_strategy

SEEN = []

class Params(NamedTuple):
    length: int = 3

@python_strategy(name="mine", summary="Mine.", params=Params, bounds={"length": (1, 50)},
                 warmup=lambda params: params.length)
class Mine:
    def __init__(self, params):
        self.params = params
    def on_bar(self, context, bars):
        for symbol, bar in bars.items():
            past = context.history(symbol, self.params.length)
            if past.size < self.params.length:
                continue
            rising = past[-1] > past[0]
"""
# It behaves where symbols are called as in the proofs, and looks at the next bar everywhere else.
BEHAVES_IN_PROOFS = """\
            if not symbol.startswith("PROOF") and context.at + 1 < len(context.panel):
                ahead = context.panel.close[context.at + 1, context.names.index(symbol)]
                rising = ahead > bar.close
            context.target(symbol, 0.4 if rising else 0.0)
"""
REMEMBERS_EARLIER_RUNS = """\
            if not symbol.startswith("PROOF"):
                SEEN.append(bar.close)
                rising = len(SEEN) % 3 == 0
            context.target(symbol, 0.4 if rising else 0.0)
"""
HONEST = "            context.target(symbol, 0.4 if rising else 0.0)\n"
MARKET = AccountConditions(wandering(["AUSDT", "BUSDT"], 24 * 12, 3), AccountTerms(100_000.0))


def examined(folder, body):
    path = folder / "mine.py"
    path.write_text(HEADER + body)
    strategy = load_strategy(str(path))
    registry = TrialRegistry(open_database(f"sqlite:///{folder / 'qtm.db'}"))
    combinations = [strategy.params({"length": length}) for length in (3, 5)]
    return strategy, lambda: assess(strategy, combinations, MARKET, registry, resamples=200)


@pytest.mark.parametrize(
    ("body", "words"),
    [(BEHAVES_IN_PROOFS, "sees the future: what it decides until"), (REMEMBERS_EARLIER_RUNS, "two runs of")],
)
def test_a_strategy_that_behaves_only_in_the_proofs_is_not_examined(tmp_path, body, words):
    strategy, examine = examined(tmp_path, body)
    assert check_account_strategy(strategy).passed
    with pytest.raises(StrategyError, match=words):
        examine()


def test_an_honest_python_strategy_is_examined_as_before(tmp_path):
    _, examine = examined(tmp_path, HONEST)
    assert len(examine().result.order_rows) > 12
