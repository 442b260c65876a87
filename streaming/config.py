"""What one stream run is: strategy, symbols, venue and where its state lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from qtm.errors import ConfigError
from qtm.market.intervals import Interval
from qtm.trading.book import Sizing


@dataclass(frozen=True)
class StreamConfig:
    """The settings of one run.

    Attributes
    ----------
    venue
        `paper` or `binance`: what eligibility is checked against.
    cash
        Quote currency allotted to the strategy on each symbol; None shares the account's cash equally.
    warmup
        Bars of history fed to the strategy before it may trade; None takes what the strategy asks for.
    bars
        Stop after this many closed bars over all symbols; None runs until stopped or the replay ends.
    replay
        The venue replays a recorded market: time is what its events say, not the wall clock.
    lockstep
        The replay moves one bar at a time, each only after the last is fully handled.
    sizer
        Sizing rule as `qtm.risk.sizing_rules.sizer_of` reads it; empty: `sizing`.
    fresh
        Start a new run even where an earlier one could be continued.
    """

    strategy: str
    symbols: tuple[str, ...]
    interval: Interval
    rest_url: str
    stream_url: str
    ws_api_url: str
    api_key: str
    api_secret: str = field(repr=False)
    account: str
    venue: str
    state_dir: Path
    database_url: str = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    sizing: Sizing = field(default_factory=Sizing)
    sizer: str = ""
    cash: Decimal | None = None
    band: float = 0.01
    warmup: int | None = None
    bars: int | None = None
    replay: bool = False
    lockstep: bool = False
    fresh: bool = False
    limits_file: Path | None = None
    timeout_s: float = 10.0
    recv_window_ms: int = 5000
    epoch_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ConfigError(
                "give at least one symbol, each once", where=",".join(self.symbols) or "symbols"
            )
        if self.lockstep and not self.replay:
            raise ConfigError("lockstep needs a replaying venue", where="lockstep", remedy="add --replay")

    @property
    def run_dir(self) -> Path:
        """Where this run keeps its frames, snapshots and signals."""
        return self.state_dir / "streams" / f"{self.account}-{Path(self.strategy).stem}"

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a restart to continue an earlier run."""
        return {
            "account": self.account,
            "strategy": self.strategy,
            "params": {name: str(value) for name, value in sorted(self.params.items())},
            "symbols": list(self.symbols),
            "interval": self.interval.value,
            "sizing": [self.sizing.mode, self.sizing.amount, self.sizer],
            "cash": None if self.cash is None else str(self.cash),
            "band": self.band,
            "warmup": self.warmup,
        }
