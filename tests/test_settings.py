"""Settings: environment over file over defaults, unknown keys refused, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.errors import ConfigError
from qtm.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "qtm.toml").write_text('home = "from-file"\n[paper]\nspot_port = 1111\num_port = 2222\n')
    monkeypatch.setenv("QTM_PAPER__SPOT_PORT", "3333")
    assert settings().home == Path("from-file")
    assert settings().paper.spot_port == 3333
    assert settings().paper.um_port == 2222


def test_unknown_key_in_the_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "qtm.toml").write_text("[risk]\nmax_ordr_value = 5\n")
    with pytest.raises(ConfigError, match=r"risk\.max_ordr_value"):
        settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("QTM_RISK_MAX_DRAWDOWN", "QTM_RISK__MAX_DRAWDOWN"),
        ("QTM_RISKK__MAX_DRAWDOWN", "QTM_RISK__MAX_DRAWDOWN"),
        ("QTM_DATABASE", "QTM_DATABASE_URL"),
        ("QTM_HOME__PATH", "QTM_HOME"),
    ],
)
def test_a_variable_with_a_typo_is_an_error_that_names_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "0.1")
    with pytest.raises(ConfigError, match=f"{name} names no setting.*did you mean {meant}\\?"):
        settings()


def test_a_typo_inside_a_section_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTM_RISK__MAX_DRAWDWN", "0.1")
    with pytest.raises(ConfigError, match=r"risk\.max_drawdwn"):
        settings()


def test_value_out_of_range_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTM_RISK__CVAR_ALPHA", "1.5")
    with pytest.raises(ConfigError, match=r"risk\.cvar_alpha"):
        settings()


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTM_CONFIG", "nowhere.toml")
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        settings()


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTM_LIVE__API_SECRET", "hunter2")
    monkeypatch.setenv("QTM_DATABASE_URL", "postgresql://u:hunter2@db/qtm")
    shown = repr(settings()) + str(settings()) + settings().model_dump_json()
    assert "hunter2" not in shown


def test_live_trading_is_off_by_default() -> None:
    assert Settings().live.venue == "paper"
    assert not Settings().live.armed
