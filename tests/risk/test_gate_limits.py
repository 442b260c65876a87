"""The limit tree: the tighter wins, nothing is assumed, nothing looser than its parent is believed."""

from decimal import Decimal
from pathlib import Path

import pytest

from qtm.errors import ConfigError
from qtm.risk.limits import load_limits
from qtm.risk.rules import HALTED, REDUCING
from qtm.settings import RiskSettings

D = Decimal
RISK = RiskSettings(max_order_value=D("50000"), max_position_value=D("100000"))

TREE = """
version = 7
[firm]
max_order_value = 40000
[desk.D1]
max_order_value = 30000
traders = ["T1"]
[trader.T1]
strategies = ["trend"]
max_position_value = 60000
[strategy.trend]
max_order_value = 20000
[instrument.BTCUSDT]
max_order_qty = 5
price_collar = 0.02
"""


def write(folder: Path, text: str, name: str = "limits.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_tightest_scope_wins_and_is_named(tmp_path: Path) -> None:
    tree = load_limits(RISK, path=write(tmp_path, TREE))
    own = tree.effective("trend", "BTCUSDT")
    assert (own.limits.max_order_value, own.set_by["max_order_value"]) == (D(20000), "strategy trend")
    assert (own.limits.max_position_value, own.set_by["max_position_value"]) == (D(60000), "trader T1")
    assert own.limits.price_collar == D("0.02")
    assert tree.effective("other", "BTCUSDT").limits.max_order_value == D(40000)


def test_a_limit_nobody_sets_is_missing(tmp_path: Path) -> None:
    tree = load_limits(RISK, path=write(tmp_path, TREE))
    assert D(tree.effective("trend", "ETHUSDT").limits.max_order_qty).is_nan()


def test_yaml_reads_the_same(tmp_path: Path) -> None:
    path = write(
        tmp_path, "firm: {max_order_value: 40000}\ninstrument: {BTCUSDT: {max_order_qty: '5'}}\n", "l.yaml"
    )
    assert load_limits(RISK, path=path).effective("x", "BTCUSDT").limits.max_order_qty == D(5)


def test_at_a_loss_limit_the_tighter_scope_halts(tmp_path: Path) -> None:
    text = TREE.replace("[strategy.trend]", '[strategy.trend]\nat_loss_limit = "halt"')
    tree = load_limits(RISK, path=write(tmp_path, text))
    assert tree.effective("trend", "BTCUSDT").limits.at_loss_limit == HALTED
    assert tree.effective("other", "BTCUSDT").limits.at_loss_limit == REDUCING


def test_the_version_names_number_and_content(tmp_path: Path) -> None:
    first = load_limits(RISK, path=write(tmp_path, TREE)).version
    second = load_limits(RISK, path=write(tmp_path, TREE.replace("20000", "19999"))).version
    assert first.startswith("7-") and second.startswith("7-") and first != second


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[firm]\nmax_ordr_value = 1\n", "max_ordr_value"),
        ("[firm]\nmax_order_value = 0\n", "greater than 0"),
        ("[firm]\nmax_order_value = -1\n", "greater than 0"),
        ("[firm]\nmax_order_value = nan\n", "finite"),
        ("[firm]\nmax_order_value = inf\n", "finite"),
        ("[firm]\nmax_order_value = 50000.01\n", "looser"),
        ("[firm]\nat_loss_limit = 'wait'\n", "'reduce' or 'halt'"),
        (
            "[firm]\nat_loss_limit = 'halt'\n[strategy.a]\nat_loss_limit = 'reduce'\n",
            "strategy a.at_loss_limit = reduce is looser than halt set by firm",
        ),
        ("[strategy.a]\nmax_order_value = 50001\n", "looser than 50000 set by firm"),
        ("[desk.D]\ntraders=['nobody']\n", "unknown trader"),
        ("[trader.A]\nstrategies=['s']\n[trader.B]\nstrategies=['s']\n", "belongs to both"),
        ("not toml at all", "cannot be parsed"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_whole(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_limits(RISK, path=write(tmp_path, text))


def test_a_file_may_not_let_shrinking_orders_pass_where_the_settings_halt(tmp_path: Path) -> None:
    risk = RISK.model_copy(update={"at_loss_limit": "halt"})
    with pytest.raises(ConfigError, match="looser than halt set by the settings"):
        load_limits(risk, path=write(tmp_path, "[firm]\nat_loss_limit = 'reduce'\n"))
    assert load_limits(risk).effective("x", "BTCUSDT").limits.at_loss_limit == HALTED


def test_a_strategy_may_not_be_looser_than_its_desk(tmp_path: Path) -> None:
    loose = TREE.replace(
        "[strategy.trend]\nmax_order_value = 20000", "[strategy.trend]\nmax_order_value = 30001"
    )
    with pytest.raises(ConfigError, match="looser than 30000 set by desk D1"):
        load_limits(RISK, path=write(tmp_path, loose))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_limits(RISK, path=tmp_path / "nowhere.toml")
