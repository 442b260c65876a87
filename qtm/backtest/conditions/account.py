"""Many symbols of one account, for steps on all of them, allocators and Python strategies."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import PRICES, Panel
from qtm.backtest.account.result import AccountResult, short_name
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.account.terms import new_memory
from qtm.backtest.conditions.bars import taker_cost
from qtm.backtest.place import Place
from qtm.backtest.session import DAY_MS
from qtm.backtest.trial_terms import terms_as_params
from qtm.risk.sized_targets import sizing_as_params, sizing_in_words
from qtm.risk.sizing import Sizer
from qtm.strategies.registry import Strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel
from qtm.trading.margin import margin_as_params


@dataclass(frozen=True)
class AccountConditions:
    """See `qtm.backtest.conditions.contract.Conditions`; `under` says what the account trades under."""

    panel: Panel
    under: AccountTerms
    sizing: Sizing | Sizer | None = None
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def cash(self) -> float:
        """Quote currency every run starts with."""
        return self.under.cash

    @property
    def place(self) -> Place:
        """Where and when."""
        panel = self.panel
        return Place(
            "+".join(sorted({str(one.market) for one in panel.instruments})), short_name(panel.names),
            panel.names, str(panel.interval), int(panel.open_time_ms[0]), int(panel.open_time_ms[-1]),
            self.data_version,
        )  # fmt: skip

    @property
    def terms_as_params(self) -> dict[str, float]:
        """The sizing rule of all seats, margin, capital, costs, limits and band as parameters."""
        costs = self.under.costs_by_market(self.panel)
        return {
            **(sizing_as_params(sizing_in_words(self.sizing)) if self.sizing else {}),
            **margin_as_params(self.under.margin_mode, self.under.leverages(self.panel)),
            **terms_as_params(
                cash=self.cash,
                costs={market: charged._asdict() for market, charged in costs.items()},
                limits=self.under.limits_digest(self.panel),
                band=self.under.band,
            ),
        }

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """The days on which any of the symbols has a bar."""
        return np.unique(self.panel.open_time_ms // DAY_MS)

    def run(
        self, strategy: Strategy, params: Any, *, trade_from_ms: int | None = None, debug: bool = False
    ) -> AccountResult:
        """Run one strategy on all of the account; raises as `run_account`."""
        return self.run_seats([Seat(strategy, params)], trade_from_ms=trade_from_ms, debug=debug)

    def run_seats(
        self, seats: Sequence[Seat], *, trade_from_ms: int | None = None, debug: bool = False
    ) -> AccountResult:
        """Run strategies on shares of the account; raises as `run_account`."""
        return run_account(
            [seat if seat.sizing else dataclasses.replace(seat, sizing=self.sizing) for seat in seats],
            self.panel,
            dataclasses.replace(self.under, trade_from_ms=trade_from_ms),
            debug=debug,
            data_version=self.data_version,
            waivers=self.waivers,
            data_versions=self.data_versions,
        )

    def between(self, begin_ms: int, end_ms: int, cash: float, *, warm_up: int) -> AccountConditions | None:
        """The same over a window and `warm_up` rows before it, with other capital."""
        first, stop = (int(i) for i in np.searchsorted(self.panel.open_time_ms, (begin_ms, end_ms)))
        if first == stop:
            return None
        return dataclasses.replace(
            self.with_cash(cash), panel=self.panel.slice(max(0, first - warm_up), stop)
        )

    def with_cash(self, cash: float) -> AccountConditions:
        """The same with other capital."""
        return dataclasses.replace(self, under=dataclasses.replace(self.under, cash=cash))

    def with_costs(self, change: Callable[[CostModel], CostModel]) -> AccountConditions:
        """The same with the costs of every market changed."""
        markets = {one.market for one in self.panel.instruments}
        costs = {market: change(self.under.costs_of(market)) for market in markets}
        return dataclasses.replace(self, under=dataclasses.replace(self.under, costs=costs))

    def closing_cost(self, result: AccountResult) -> float:
        """What leaving the open positions of all legs at their last closes costs."""
        total = 0.0
        for leg in result.legs:
            instrument = self.panel.instruments[int(leg["instrument"])]
            closes = self.panel.close[:, int(leg["instrument"])]
            known = np.flatnonzero(np.isfinite(closes))
            if leg["qty"] != 0.0 and known.size:
                costs: CostModel = self.under.costs_of(instrument.market)
                close, tick = float(closes[known[-1]]), float(instrument.tick_size)
                total += taker_cost(float(leg["qty"]), close, tick, costs)
        return total

    def terms(self, strategy: Strategy) -> dict[str, Any]:
        """The account's terms, with a digest of all its numbers before the first bar."""
        memory = new_memory([Seat(strategy, sizing=self.sizing)], self.panel, self.under)
        rates = self.panel.rates
        return {
            "cash": self.cash,
            "costs": {
                market: costs._asdict() for market, costs in self.under.costs_by_market(self.panel).items()
            },
            "gated": self.under.limits is not None,
            "symbols": list(self.panel.keys),
            "funding": hashlib.sha256(rates.tobytes()).hexdigest()[:16] if len(rates) else None,
            "account": hashlib.sha256(b"".join(part.tobytes() for part in memory)).hexdigest()[:16],
        }

    @property
    def nbytes(self) -> int:
        """The tables of the panel."""
        tables = [getattr(self.panel, name) for name in (*PRICES, "volume")]
        return sum(int(table.nbytes) for table in (*tables, self.panel.rates, self.panel.open_time_ms))
