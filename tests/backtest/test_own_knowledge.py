"""What a strategy's source brings along is found by reading it; no run could show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.backtest.own_knowledge import brings_along
from qtm.strategies.registry import list_strategies, load_strategy

PYTHON = """\
from typing import NamedTuple
import time
import numpy as np
from qtm.strategies.python_contract import python_strategy

class Params(NamedTuple):
    length: int = 3

{0}

@python_strategy(name="mine", summary="Mine.", params=Params, bounds={{"length": (1, 50)}})
class Mine:
    def __init__(self, params):
        self.params = params
    def on_bar(self, context, bars):
        {1}
"""
STEP = """\
from typing import NamedTuple
import numpy as np
from qtm.strategies.contract import step_strategy

class Params(NamedTuple):
    length: int = 5

@step_strategy(name="mine", summary="Mine.", params=Params, bounds={"length": (1, 50)}, state={"n": "i8"},
               warmup=lambda params: 10)
def mine(params, state, bar, account):
    return np.random.random()
"""


def found(path: Path, source: str) -> str:
    path.write_text(source)
    finding = brings_along(load_strategy(str(path)))
    assert finding.passed is finding.observed.endswith("read")
    return finding.observed


def test_the_bundled_strategies_know_their_bars_only() -> None:
    assert all(brings_along(strategy).passed for strategy in list_strategies())


@pytest.mark.parametrize(
    ("top", "line", "words"),
    [
        ("MEAN = np.load(__file__ + '.npy') if False else 1.0", "pass", "reads data by load() [mine.py:9]"),
        ("", "Path('closes.csv').read_text() if False else None", "reads data by read_text() [mine.py:16]"),
        ("from qtm.research import backtest", "pass", "imports qtm.research [mine.py:9]"),
        ("", "context.target('A', float(time.time() % 2))", "looks at the clock [mine.py:16]"),
        (f"NEXT = {list(range(65))}", "pass", "carries 65 numbers [mine.py:9]"),
        (f"NEXT = {'0' * 2_001!r}", "pass", "carries a text of 2,001 characters [mine.py:9]"),
        (f"FEW = {list(range(64))}", "context.history('A', 5).mean()", "1 source file(s) read"),
    ],
)
def test_data_of_its_own_are_named_with_their_line(tmp_path: Path, top: str, line: str, words: str) -> None:
    assert found(tmp_path / "mine.py", PYTHON.format(top, line)) == words


def test_a_module_it_imports_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "prices_of_mine.py").write_text("import numpy as np\n\ndef get():\n    return np.load('x')\n")
    source = PYTHON.format("import prices_of_mine", "prices_of_mine.get()")
    assert found(tmp_path / "mine.py", source) == "reads data by load() [prices_of_mine:4]"


def test_a_compiled_step_draws_no_random_numbers(tmp_path: Path) -> None:
    assert "draws random numbers" in found(tmp_path / "mine.py", STEP)
