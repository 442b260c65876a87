"""What a step may not hold is said in the author's terms, with the line of the strategy file."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.errors import StrategyError
from qtm.strategies.registry import load_strategy
from tests.backtest.account.markets import wandering

FILE = """from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qtm.features.indicators import WINDOW, sma
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import Plan

seen = []
count = 0


def halved(value):
    return value / 2


class Params(NamedTuple):
    fast: int = 20


@step_strategy(
    name="mistaken", summary="Wrong.", params=Params, bounds={{}}, state={{"fast": WINDOW, "last": "f8"}}
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    average = sma(state.fast, bar.close_ticks, params.fast)
{body}
"""

MISTAKES = {
    "return 1.0 if averag > 0 else 0.0": "the name 'averag' is not defined",
    "seen.append(bar.close); return 1.0": "'seen' cannot be used inside a step",
    "return halved(average)": "'halved' is a plain Python function",
    'd = {"a": 1}; d["b"] = "x"; return 1.0': "a dict",
    'text = f"{bar.close:.2f}"; return 1.0': "cannot make text",
    'print("close %s" % bar.close); return 1.0': "cannot make text",
    "return pd.Series([bar.close]).mean()": "pandas.Series cannot be used",
    "return np.middle(bar.close)": "numpy.middle cannot be used",
    "state.slow = bar.close; return 1.0": "state has no field 'slow'",
    "bar.close = 1.0; return 1.0": "bar.close cannot be changed",
    "return sma(state.fast, bar.close)": "without its argument 'length'",
    "return Plan(1.0, stp=bar.close)": "unexpected keyword argument 'stp'",
    'return Plan(1.0, stop="low")': "stop is no number",
}
BLOCKS = {
    "if average > 1.0:\n        return 1.0": ("does not answer on every path", 25),
    "if average > 1.0:\n        return None\n    return 1.0": ("sometimes answers None", 28),
    "x = None\n    if average > 1.0:\n        x = 2.0\n    return x": ("'x' is None at times", 27),
    "global count\n    count += 1\n    return float(count)": ("cannot change 'count'", 27),
    "try:\n        x = 1.0 / average\n    except ZeroDivisionError:\n        x = 0.0\n    return x": (
        "cannot catch exceptions", 27,
    ),
    'with open("x"):\n        pass\n    return 1.0': ("cannot open files", 27),
    "if average > 1.0:\n        return Plan(1.0, 1.0, 1.0, 1.0)\n    return 0.0": ("sometimes a Plan", 28),
}  # fmt: skip


def _complaint(body: str, folder: Path) -> StrategyError:
    file = folder / "mistaken.py"
    file.write_text(FILE.format(body="    " + body))
    strategy = load_strategy(str(file))
    with pytest.raises(StrategyError) as caught:
        run_account([Seat(strategy)], wandering(("AUSDT",), 30, 1), Conditions(1_000.0))
    return caught.value


@pytest.mark.parametrize("body", MISTAKES)
def test_a_mistake_on_one_line_is_named_with_it(body: str, tmp_path: Path) -> None:
    error = _complaint(body, tmp_path)
    assert MISTAKES[body] in str(error)
    assert f"{tmp_path / 'mistaken.py'}:2" in str(error.where)


@pytest.mark.parametrize("body", BLOCKS)
def test_what_no_step_may_hold_is_found_in_its_source(body: str, tmp_path: Path) -> None:
    message, line = BLOCKS[body]
    error = _complaint(body, tmp_path)
    assert message in str(error)
    assert str(error.where) == f"{tmp_path / 'mistaken.py'}:{line}"
