"""Bar intervals as Binance names them."""

from __future__ import annotations

from enum import StrEnum

from qtm.errors import ConfigError

_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Interval(StrEnum):
    """A fixed-length bar interval."""

    S1 = "1s"
    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    D3 = "3d"
    W1 = "1w"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return int(self.value[:-1]) * _MS[self.value[-1]]

    @property
    def per_year(self) -> float:
        """Bars in a 365-day crypto year, the annualisation base used everywhere."""
        return 365 * 86_400_000 / self.ms

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read `1m`, `1h`, `1d` ...; raises ConfigError for anything else."""
        try:
            return cls(text)
        except ValueError:
            known = ", ".join(i.value for i in cls)
            raise ConfigError(
                f"unknown interval {text!r}", where="interval", remedy=f"use one of {known}"
            ) from None
