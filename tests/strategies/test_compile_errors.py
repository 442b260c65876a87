"""What a step may not hold is said in the author's terms, with the line of the strategy file."""

from __future__ import annotations

import linecache
from pathlib import Path

import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import tape_of_bars
from qtm.errors import StrategyError
from qtm.strategies.compile_errors import explain_compile_error
from qtm.strategies.registry import load_strategy
from tests.backtest.account.markets import wandering
from tests.backtest.scripted import instrument
from tests.backtest.tape.random_tapes import walking_bars
from tests.backtest.tape.scripted import FREE

FILE = """from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qtm.features.indicators import WINDOW, sma
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import Plan

seen = []
count = 0
known = np.zeros(3)


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
    "return np.middle(bar.close)": "numpy has no 'middle'",
    'return np.einsum("i->", np.ones(3))': "numpy.einsum cannot be used",
    "return np.mean(np.ones(3), axis=0)": "mean(...) takes no 'axis'",
    "state.slow = bar.close; return 1.0": "state has no field 'slow'",
    "state.lats = bar.close; return 1.0": "did you mean 'last'",
    "return float(params.fats)": "did you mean 'fast'",
    "return state.fast.values[0]": "state.fast has no field 'values'",
    "return bar[-1].close": "a number has no field 'close'",
    "import math; return math.sqrt(average)": "move `import math` to the top",
    "return sum(x for x in (1.0, 2.0))": "a generator",
    'x = [1.0, "a"]; return x[int(average) % 2] + 1.0': "this one has numbers and text",
    'x = [1.0]; x.append("a"); return x[0]': "this one a number, and it is given text ('a')",
    "x = []; return 1.0": "'x' is an empty list",
    'return 1.0 + "a"': "`+` does not go with a number and text ('a')",
    'return "buy"': "the step answers text ('buy')",
    "return 1.0, 2.0": "the step answers a tuple",
    "return np.ones(2)": "the step answers an array",
    "known[0] = bar.close; return 1.0": "an array defined outside of the step",
    "return rolling_min(state.fast, 1.0, 2)": "from qtm.features.indicators import rolling_min",
    "return smaa(state.fast, bar.close, 2)": "did you mean 'sma'",
    "return sma(state.fast, bar.close, 2, 3)": "with too many arguments",
    "return sma(bar.close, bar.close, 2)": "called as sma(state, value, length)",
    "bar.close = 1.0; return 1.0": "bar.close cannot be changed",
    "return sma(state.fast, bar.close)": "sma(...) is called without its argument 'length'",
    "return Plan(1.0, stp=bar.close)": "unexpected keyword argument 'stp'",
    'return Plan(1.0, stop="low")': "stop is no number",
}
BLOCKS = {
    "if average > 1.0:\n        return 1.0": ("not when `if average > 1.0` does not hold", 28),
    "if average > 1.0:\n        return None\n    return 1.0": ("sometimes answers None", 29),
    "x = None\n    if average > 1.0:\n        x = 2.0\n    return x": ("'x' is None at times", 28),
    "x = 1\n    if average > 1.0:\n        x = 'a'\n    return 1.0 if x else 0.0": (
        "'x' is sometimes a whole number and sometimes text ('a')", 31,
    ),
    "global count\n    count += 1\n    return float(count)": ("cannot change 'count'", 28),
    "try:\n        x = 1.0 / average\n    except ZeroDivisionError:\n        x = 0.0\n    return x": (
        "cannot catch exceptions", 28,
    ),
    'with open("x"):\n        pass\n    return 1.0': ("cannot open files", 28),
    "if average > 1.0:\n        return Plan(1.0, 1.0, 1.0, 1.0)\n    return 0.0": ("sometimes a Plan", 29),
}  # fmt: skip


ORDERS = """from typing import Any, NamedTuple

from qtm.strategies.order_contract import order_strategy
from qtm.trading.desk import BUY, limit, market


class Params(NamedTuple):
    lots: int = 10


@order_strategy(
    name="mistaken", summary="Wrong.", params=Params, bounds={{}}, state={{"entries": "i8"}}, wakes=("bar",)
)
def strategy(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    if account.lots != 0:
        return
    {body}
"""

ORDER_MISTAKES = {
    "markt(desk, BUY, 1)": "did you mean 'market'",
    "trailing(desk, BUY, 1, 5)": "`from qtm.trading.desk import trailing`",
    "limit(desk, BUY, params.lots)": "limit(...) is called without its argument 'ticks'",
    'market(desk, "BUY", 1)': "market(...) is given text where a whole number is wanted",
    "desk.limit(BUY, 1, 3)": "call limit(desk, ...)",
    "state.entry += 1": "did you mean 'entries'",
    "market(desk, BUY, event.amount)": "an event has kind, ts_ns",
    "market(desk, BUY, account.position)": "an account has lots, qty",
    "market(desk, BUY, desk.bid)": "it has bid_ticks, ask_ticks",
    'print(f"{event.ticks}")': "cannot make text",
}


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


@pytest.mark.parametrize("body", ORDER_MISTAKES)
def test_a_mistake_with_orders_is_named_with_its_line(body: str, tmp_path: Path) -> None:
    file = tmp_path / "mistaken.py"
    file.write_text(ORDERS.format(body=body))
    strategy = load_strategy(str(file))
    tape = tape_of_bars(walking_bars(30, 1), instrument())
    with pytest.raises(StrategyError) as caught:
        run_orders_backtest(strategy, {}, tape, instrument(), cash=1_000.0, costs=FREE)
    assert ORDER_MISTAKES[body] in str(caught.value)
    assert str(caught.value.where) == f"{file}:17"


def test_a_mistake_in_a_notebook_cell_is_named_with_its_line(tmp_path: Path) -> None:
    cell = tmp_path / "no_file.py"  # how IPython names cells, whose lines only `linecache` has
    text = FILE.format(body="    import math\n    return math.sqrt(average)")
    linecache.cache[str(cell)] = (len(text), None, text.splitlines(keepends=True), str(cell))
    error = explain_compile_error(TypeError("whatever the compiler says"), "mistaken", cell)
    assert (
        str(error)
        == "a step cannot import [line 28 of the cell] -> move `import math` to the top of the file"
    )
