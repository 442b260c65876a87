"""Composite and user stress scenarios: prices, hedges, funding, basis, depth, stablecoin and venue at once.

Scenarios are read from TOML, one `[[scenario]]` table each:

    [[scenario]]
    name = "Altcoins halve, hedges gone"
    otherwise = -0.5                # move of every symbol not named
    moves = { BTCUSDT = -0.2 }
    hedges_removed = true           # auto-deleveraging closes perpetual legs that would gain
    funding_8h = 0.0075             # adverse, for `funding_intervals` intervals
    depth_left = 0.1                # books keep a tenth of their depth
    stable_fall = 0.1

Magnitudes without a sign (funding, basis) act in the direction that hurts the book. Losses are positive, in
the unit of the book.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from qtm.errors import ConfigError, RiskError

OUTAGE_DEVIATIONS: Final = 3.0
"""Deviations an unreachable venue's market is taken to move against the book."""

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Move = Annotated[float, msgspec.Meta(ge=-1.0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One made-up scenario; every part left out does nothing.

    Attributes
    ----------
    moves, otherwise
        Price move per symbol, and of every other symbol, as fractions.
    hedges_removed
        Perpetual positions that would gain are closed before the move (auto-deleveraging).
    funding_8h, funding_intervals
        Adverse funding rate and how many intervals it is paid for.
    basis
        Adverse gap between perpetuals and spot.
    depth_left
        Share of the books' depth that is left; the cost of closing grows by its inverse.
    stable_fall
        Fall of the stablecoin the cash is held in.
    unreachable_hours
        How long nothing can be closed while the market moves three deviations against the book.
    venue_lost
        Share of everything held at the venue that is lost.
    """

    name: str
    moves: dict[str, Move] = {}
    otherwise: Move = 0.0
    hedges_removed: bool = False
    funding_8h: NotNegative = 0.0
    funding_intervals: Annotated[int, msgspec.Meta(ge=0)] = 3
    basis: NotNegative = 0.0
    depth_left: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    stable_fall: Share = 0.0
    unreachable_hours: NotNegative = 0.0
    venue_lost: Share = 0.0


COMPOSITES: tuple[Scenario, ...] = (
    Scenario(name="Everything falls 30 %", otherwise=-0.30),
    Scenario(name="Everything rises 25 %", otherwise=0.25),
    Scenario(
        name="Altcoins fall 60 %, hedges gone, books at a tenth",
        moves={"BTCUSDT": -0.16, "ETHUSDT": -0.21, "PAXGUSDT": -0.05},
        otherwise=-0.60,
        hedges_removed=True,
        depth_left=0.1,
    ),
    Scenario(name="Funding 0.75 % per 8 h for a day, basis 10 %", funding_8h=0.0075, basis=0.10),
    Scenario(name="Stablecoin falls 10 %", stable_fall=0.10),
    Scenario(name="Everything falls 15 %, venue unreachable for 2 h", otherwise=-0.15, unreachable_hours=2.0),
    Scenario(name="Venue fails, its balances lost", venue_lost=1.0),
)
"""The shocks every book is put through; BTC and ETH of the third move as on the lows of 2025-10-10."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One position.

    Attributes
    ----------
    value
        Signed, quote currency or fraction of capital.
    perpetual
        Pays funding, has a basis, and can be auto-deleveraged.
    exit_cost
        Relative cost of closing it at the usual depth.
    """

    symbol: str
    value: float
    perpetual: bool = False
    exit_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class StressBook:
    """What is put through a scenario, all in one unit.

    Attributes
    ----------
    cash
        Stablecoin at the venue, margin included.
    hourly_deviation
        Deviation of the book's value in an hour, for outages.
    """

    holdings: tuple[Holding, ...]
    cash: float = 0.0
    hourly_deviation: float = 0.0

    def __post_init__(self) -> None:
        numbers = [self.cash, self.hourly_deviation]
        numbers += [number for holding in self.holdings for number in (holding.value, holding.exit_cost)]
        if not all(math.isfinite(number) for number in numbers):
            raise RiskError("a book with an unknown value cannot be stressed", remedy="mark every position")

    @property
    def at_venue(self) -> float:
        """What would be lost with the venue: cash and spot holdings."""
        spot = sum(holding.value for holding in self.holdings if not holding.perpetual)
        return max(0.0, self.cash + spot)


@dataclass(frozen=True, slots=True)
class ScenarioLoss:
    """What a scenario costs a book, part by part; gains from price are negative."""

    name: str
    price: float
    funding: float
    basis: float
    exit_cost: float
    stablecoin: float
    outage: float
    venue: float
    removed: tuple[str, ...]

    @property
    def total(self) -> float:
        """The sum, negative for a gain; what is lost with the venue is not lost twice: the larger counts."""
        traded = self.price + self.funding + self.basis + self.exit_cost + self.stablecoin + self.outage
        return max(traded, self.venue) if self.venue else traded


def apply_scenario(scenario: Scenario, book: StressBook) -> ScenarioLoss:
    """Loss of `book` under `scenario`."""
    price, exit_cost = 0.0, 0.0
    perpetuals = 0.0
    removed = []
    for holding in book.holdings:
        loss = -holding.value * scenario.moves.get(holding.symbol, scenario.otherwise)
        if scenario.hedges_removed and holding.perpetual and loss < 0.0:
            removed.append(holding.symbol)
            continue
        price += loss
        perpetuals += holding.value if holding.perpetual else 0.0
        if scenario.depth_left < 1.0:
            exit_cost += abs(holding.value) * holding.exit_cost / scenario.depth_left
    return ScenarioLoss(
        name=scenario.name,
        price=price,
        funding=abs(perpetuals) * scenario.funding_8h * scenario.funding_intervals,
        basis=abs(perpetuals) * scenario.basis,
        exit_cost=exit_cost,
        stablecoin=max(0.0, book.cash) * scenario.stable_fall,
        outage=OUTAGE_DEVIATIONS * book.hourly_deviation * math.sqrt(scenario.unreachable_hours),
        venue=book.at_venue * scenario.venue_lost,
        removed=tuple(removed),
    )


def apply_all(book: StressBook, scenarios: Sequence[Scenario] = COMPOSITES) -> tuple[ScenarioLoss, ...]:
    """Every scenario, worst first."""
    return tuple(sorted((apply_scenario(s, book) for s in scenarios), key=lambda loss: -loss.total))


class _ScenarioFile(msgspec.Struct, forbid_unknown_fields=True):
    scenario: list[Scenario]


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """Scenarios of a TOML file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or holds an unknown or impossible value; the message says
        which.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _ScenarioFile).scenario
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"stress scenarios cannot be read: {error}",
            where=str(path),
            remedy="see docs/reference/stress-scenarios.md for the keys",
        ) from None
    names = [scenario.name for scenario in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two scenarios are named {name!r}", where=str(path), remedy="rename one")
    return tuple(found)
