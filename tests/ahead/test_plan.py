"""What is compiled ahead: made once, found by later processes, made again when its sources change."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.ahead.plan import SHARED, compile_ahead, everything
from qtm.errors import StrategyError
from qtm.strategies.registry import bundled_strategies

NOTHING_TO_COMPILE = '''
from typing import NamedTuple
from qtm.strategies.allocator_contract import allocator
class Params(NamedTuple):
    """None."""
@allocator(name="flat", summary="Holds nothing.", params=Params, bounds={}, window=lambda params: 5)
def flat(params, history):
    return {}
'''


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTM_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_a_job_is_done_once(fresh: None) -> None:
    (first,) = compile_ahead([["live trading"]])
    assert "in-and-out bar by bar" in first.compiled
    assert compile_ahead([["live trading"]]) == []


def test_an_edited_strategy_is_compiled_again_and_a_wrong_one_says_why(fresh: None, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(NOTHING_TO_COMPILE)
    stages = everything([str(mine)])[1:]
    assert len(compile_ahead(stages)) == 1
    assert compile_ahead(stages) == []
    mine.write_text("import nowhere")
    with pytest.raises(StrategyError, match=r"does not import.*mine.py:1"):
        compile_ahead(stages)


def test_everything_is_all_bundled_strategies_after_what_they_share() -> None:
    shared, own = everything()
    assert shared == list(SHARED)
    files = {name: one.source.parent.name for name, one in bundled_strategies().items()}
    assert own == [f"strategy {name}" for name, folder in files.items() if folder == "bundled"]
