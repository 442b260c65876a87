"""Strategies are found by name or file, and every mistake in one is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.backtest.engine import run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.errors import StrategyError
from qtm.strategies.registry import list_strategies, load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.scripted import instrument

HEADER = """\
from typing import NamedTuple
import numpy as np
from qtm.features.indicators import WINDOW, sma
from qtm.strategies.contract import step_strategy

class Params(NamedTuple):
    length: int = 5

@step_strategy(name="mine", summary="Mine.", params=Params, bounds={"length": (1, 50)},
               state={"window": WINDOW})
def mine(params, state, bar, account):
"""


def write(folder: Path, body: str) -> str:
    path = folder / "mine.py"
    path.write_text(HEADER + body)
    return str(path)


def run(path: str) -> None:
    run_backtest(
        load_strategy(path),
        {},
        proof_market(50, 1),
        instrument(),
        cash=1e5,
        costs=SPOT_COSTS,
        sizing=Sizing(),
    )


def test_a_user_file_runs_like_a_bundled_strategy(tmp_path: Path) -> None:
    path = write(
        tmp_path, "    return 1.0 if bar.close > sma(state.window, bar.close, params.length) else 0.0\n"
    )
    run(path)
    assert load_strategy(path).name == "mine"


@pytest.mark.parametrize("name", ["../../mine", "my own", "-mine", "", "m\u00eene"])
def test_a_name_that_could_be_no_part_of_an_order_id_or_a_file_is_refused(tmp_path: Path, name: str) -> None:
    path = Path(write(tmp_path, "    return 1.0\n"))
    path.write_text(path.read_text().replace('name="mine"', f'name="{name}"'))
    with pytest.raises(StrategyError, match=r"is no name for a strategy \[.*mine.py\] -> use letters"):
        load_strategy(str(path))


def test_an_edited_file_is_a_new_version(tmp_path: Path) -> None:
    first = load_strategy(write(tmp_path, "    return 1.0\n"))
    second = load_strategy(write(tmp_path, "    return 0.5\n"))
    assert first.version != second.version and second.step(None, None, None, None) == 0.5


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(StrategyError, match="did you mean 'trend'"):
        load_strategy("trand")


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("    return state.windw\n", "no field 'windw'", 12),
        ("    return bar.closing\n", "a bar has no field 'closing'", 12),
        ("    x = 1\n    return account.money\n", "the account has no field 'money'", 13),
        ("    return params.speed\n", "parameters have no field 'speed'", 12),
        ("    x = open('f')\n    return 1.0\n", "does not", 12),
    ],
)
def test_a_step_that_does_not_compile_is_explained_with_its_line(
    tmp_path: Path, body: str, message: str, line: int
) -> None:
    path = write(tmp_path, body)
    with pytest.raises(StrategyError, match=message) as caught:
        run(path)
    assert caught.value.where == f"{path}:{line}" and caught.value.remedy


def test_a_file_that_does_not_import_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "    return 1.0\n\nundefined_thing\n")
    with pytest.raises(StrategyError, match="NameError") as caught:
        load_strategy(path)
    assert caught.value.where == f"{path}:14"


@pytest.mark.parametrize("text", ["", "x = 1\n"])
def test_a_file_without_a_strategy_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "none.py"
    path.write_text(text)
    with pytest.raises(StrategyError, match="defines 0 strategies"):
        load_strategy(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="cannot be read"):
        load_strategy(str(tmp_path / "nowhere.py"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fast": 0}, "out of range"),
        ({"fast": 2.5}, "not a int"),
        ({"fast": "x"}, "not a int"),
        ({"f": 1}, "unknown"),
    ],
)
def test_parameters_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        load_strategy("trend").params(values)


def test_every_bundled_strategy_has_defaults_within_its_bounds() -> None:
    for strategy in list_strategies():
        assert strategy.params()._fields and set(strategy.bounds) == set(strategy.params()._fields)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("name", ["fast", "below"])
def test_a_parameter_is_a_number_that_ends(name: str, value: float) -> None:
    with pytest.raises(StrategyError, match=f"parameter {name}="):
        load_strategy("trend").params({name: value})
