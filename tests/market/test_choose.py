"""Choosing a source: what answers first is taken, and the reason is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.errors import ConfigError
from qtm.market.choose import choose_source
from qtm.settings import MarketSettings, Settings
from tests.market.http_server import serving
from tests.market.test_rest import Venue

NOBODY = "http://127.0.0.1:9"


def settings(archive: str, rest: str = NOBODY) -> Settings:
    market = MarketSettings(archive=archive, spot_rest=rest, um_rest=rest, timeout_s=2.0, retries=0)
    return Settings(market=market)


def test_a_local_archive_is_taken_without_asking_anyone(tmp_path: Path) -> None:
    chosen = choose_source(settings(str(tmp_path)))
    assert chosen.source.name == f"archive {tmp_path}"
    assert "is there" in chosen.reason
    assert not chosen.is_synthetic


def test_a_missing_local_archive_is_an_error_and_never_replaced_by_synthetic_prices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="archive folder does not exist"):
        choose_source(settings(str(tmp_path / "nowhere")))


def test_rest_stands_in_for_a_silent_archive() -> None:
    with serving(Venue().application()) as url:
        chosen = choose_source(settings(NOBODY, url))
    assert chosen.source.name == f"REST {url}"
    assert "the archive does not answer" in chosen.reason


def test_the_synthetic_market_is_last_and_says_so() -> None:
    chosen = choose_source(settings(NOBODY))
    assert chosen.is_synthetic
    assert chosen.source.name == "synthetic market, seed 7"
    assert chosen.reason.startswith("SYNTHETIC prices, because neither the archive")


def test_a_source_may_be_asked_for_by_name(tmp_path: Path) -> None:
    assert choose_source(settings(str(tmp_path)), "synthetic").is_synthetic
    assert choose_source(settings(str(tmp_path)), "archive").source.name.startswith("archive")
    assert choose_source(settings(str(tmp_path)), "rest").source.name == f"REST {NOBODY}"
