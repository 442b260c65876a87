"""A strategy's version covers all of its author's code: an edited helper never runs under an old name."""

import importlib
import linecache
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qtm.errors import StrategyError
from qtm.strategies.provenance import file_of, source_digest
from qtm.strategies.registry import load_strategy

STRATEGY = """
from typing import NamedTuple
import numpy as np
from qtm.strategies.contract import step_strategy
from {helper} import lean

class Params(NamedTuple):
    length: int = 2

@step_strategy(
    name="leans", summary="x", params=Params, bounds={{"length": (1, 10)}}, state={{"n": np.float64}}
)
def strategy(params, state, bar, account):
    return lean(bar.close)
"""
HELPER = """
from qtm.compiled import inlined
{imports}

@inlined
def lean(close):
    return {answer}
"""
RUN = """
import sys
from qtm.strategies.registry import load_strategy
one = load_strategy(sys.argv[1])
from qtm.market.bars import Bar
bar = Bar(0, 1.0, 1.0, 1.0, 1.0, 1.0, 100)
print(one.version, one.compiled_step(one.params({}), one.new_state()[0], bar, 0.0))
"""


def helper(folder: Path, name: str, answer: str, imports: str = "") -> None:
    (folder / f"{name}.py").write_text(HELPER.format(answer=answer, imports=imports))


def strategy_file(folder: Path, name: str) -> Path:
    path = folder / "strategy.py"
    path.write_text(STRATEGY.format(helper=name))
    return path


def run_in_a_process(path: Path) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", RUN, str(path)],
        env={**os.environ, "PYTHONPATH": f"{path.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found.stdout.split()


@pytest.mark.slow
def test_machine_code_is_never_older_than_a_helper_in_another_file(tmp_path: Path) -> None:
    helper(tmp_path, "leaning", "1.0")
    path = strategy_file(tmp_path, "leaning")
    version, answer = run_in_a_process(path)
    assert answer == "1.0"
    helper(tmp_path, "leaning", "0.5")
    again = run_in_a_process(path)
    assert again[0] != version and again[1] == "0.5"


def test_a_changed_helper_of_a_helper_is_a_new_version(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    helper(tmp_path, "near_one", "FAR", "from far_one import FAR")
    (tmp_path / "far_one.py").write_text("FAR = 1.0\n")
    definition = load_strategy(str(strategy_file(tmp_path, "near_one"))).definition
    before = source_digest(definition)
    (tmp_path / "far_one.py").write_text("FAR = 2.0\n")
    assert source_digest(definition) == before  # this process still runs what it imported
    importlib.reload(sys.modules["far_one"])
    assert source_digest(definition) != before


def test_a_package_of_the_author_is_followed_through_relative_imports(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "authors_package").mkdir()
    (tmp_path / "authors_package/__init__.py").write_text("")
    (tmp_path / "authors_package/rules.py").write_text(
        "from .levels import LEVEL\n\ndef lean(x):\n    return LEVEL\n"
    )
    (tmp_path / "authors_package/levels.py").write_text("LEVEL = 1.0\n")
    definition = importlib.import_module("authors_package.rules").lean
    before = source_digest(definition)
    (tmp_path / "authors_package/levels.py").write_text("LEVEL = 3.0\n")
    importlib.reload(sys.modules["authors_package.levels"])
    assert source_digest(definition) != before


def test_a_bundled_strategy_is_its_file_alone() -> None:
    import hashlib

    trend = load_strategy("trend")
    assert trend.digest == hashlib.sha256(trend.source.read_bytes()).hexdigest()
    assert trend.version == trend.digest[:12]


CELL = """
SCALE = {scale}

def half(x):
    return x * {factor}

class Holds:
    def on_bar(self, context, bars):
        return half(SCALE)
"""


@pytest.mark.parametrize("changed", [{"scale": 3}, {"factor": 0.25}])
def test_in_a_notebook_other_cells_count_too(changed) -> None:
    def cell(number: int, scale: float = 2, factor: float = 0.5):
        name, text = f"<cell {number}>", CELL.format(scale=scale, factor=factor)
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        space = {"__name__": "a_notebook"}
        exec(compile(text, name, "exec"), space)
        return space["Holds"]

    first = cell(1)
    assert file_of(first) == Path("<cell 1>")
    assert source_digest(first) == source_digest(cell(2))
    assert source_digest(first) != source_digest(cell(3, **changed))


def test_a_module_that_is_not_found_is_put_on_the_path_or_into_the_file(tmp_path) -> None:
    with pytest.raises(StrategyError, match=r"put the folder of 'nowhere_to_be_found' on PYTHONPATH"):
        load_strategy(str(strategy_file(tmp_path, "nowhere_to_be_found")))
