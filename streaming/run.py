"""Which run a restart continues: its identity on disk, beside its frames and snapshots."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bytewax.recovery import init_db_dir

from qtm.errors import ConfigError, StoreError
from streaming.config import StreamConfig


@dataclass(frozen=True)
class Run:
    """One run over all its restarts.

    Bars opening before `trade_from_ms` only warm the strategy up; order ids continue after
    `first_sequence`, by symbol.
    """

    run_id: str
    identity: dict[str, Any]
    strategy_version: str
    trade_from_ms: int
    cash: float
    first_sequence: dict[str, int]
    resumed: bool = False

    def save(self, folder: Path) -> None:
        """Write the run's identity and an empty recovery store, replacing whatever run was there."""
        try:
            if folder.exists():
                shutil.rmtree(folder)
            (folder / "recovery").mkdir(parents=True)
            init_db_dir(folder / "recovery", 1)
            partial = folder / "run.json.partial"
            partial.write_text(json.dumps(asdict(self), indent=1))
            os.replace(partial, folder / "run.json")  # noqa: PTH105
        except OSError as error:
            raise StoreError(
                f"the run's state cannot be written: {error.strerror}", where=str(folder)
            ) from error

    @classmethod
    def load(cls, config: StreamConfig, strategy_version: str) -> Run | None:
        """The run to continue, or None to start a new one.

        Raises
        ------
        ConfigError
            When an unfinished run is there and differs in what would make its state meaningless.
        """
        file = config.run_dir / "run.json"
        if config.fresh or not file.exists():
            return None
        held = json.loads(file.read_text())
        for name, ours in {**config.identity, "strategy version": strategy_version}.items():
            theirs = held["strategy_version"] if name == "strategy version" else held["identity"][name]
            if theirs != ours:
                raise ConfigError(
                    f"the run to continue has {name} {theirs!r}, this one has {ours!r}",
                    where=str(file),
                    remedy="start with the same settings, or start a new run with --fresh",
                )
        return cls(**{**held, "resumed": True})

    @staticmethod
    def new_id() -> str:
        """A random run id."""
        return str(uuid.uuid4())
