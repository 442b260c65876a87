"""A filled-in dossier for the tests of the ladder."""

from pathlib import Path

FILLED = """
strategy = "trend"
purpose = "earns where a trend lasts for weeks"
owner = "the desk head"
inputs = ["closed bars of one symbol"]
data_sources = ["Binance, kline stream"]
kill_behaviour = "the position stays; the person on duty closes it by hand"
[[failure_modes]]
what = "a sideways market"
noticed_by = "the daily report's drawdown"
answer = "the owner stops it"
"""


def fill_in(folder: Path, strategy: str = "trend") -> Path:
    """Write a complete dossier; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{strategy}.toml"
    path.write_text(FILLED.replace('"trend"', f'"{strategy}"'))
    return path
