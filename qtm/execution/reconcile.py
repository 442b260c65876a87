"""Before trading, the venue's account must hold exactly what our journal says it should.

A new account is opened with the balances the venue shows. From then on every balance must be the opening
plus our own executions, and every open order must be one of ours. Anything else is shown and stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from qtm.errors import VenueError
from qtm.execution.journal import Journal
from qtm.market.instruments import Instrument
from qtm.risk.exposure import Exposure
from qtm.trading.orders import Fill

TOLERANCE = Decimal("0.00000001")
"""Largest difference of a balance that counts as equal: the venue's own last decimal."""


class AccountVenue(Protocol):
    """The part of a venue reconciliation reads."""

    async def balances(self) -> dict[str, Decimal]:
        """Amount of every asset held."""
        ...

    async def open_orders(self) -> list[tuple[str, str]]:
        """(symbol, client order id) of every open order."""
        ...


@dataclass(frozen=True, slots=True)
class Break:
    """One difference between the venue and the journal."""

    what: str
    ours: str
    venue: str

    def __str__(self) -> str:
        return f"{self.what}: journal {self.ours}, venue {self.venue}"


async def reconcile(journal: Journal, venue: AccountVenue, instruments: Iterable[Instrument]) -> Exposure:
    """The account as the venue and the journal agree on it.

    Raises
    ------
    VenueError
        When they do not agree; the message lists every difference.
    """
    listed = {one.symbol: one for one in instruments}
    quotes = {one.quote for one in listed.values()}
    if len(quotes) != 1:
        raise VenueError(
            "one account trades symbols of one quote currency",
            where=", ".join(sorted(listed)),
            remedy="run one stream per quote currency, each on its own sub-account",
        )
    balances = await venue.balances()
    if not journal.openings():
        journal.open_account(balances)
    executions = journal.fills()
    expected = expected_balances(journal.openings(), executions, listed)
    breaks = [*balance_breaks(expected, balances), *order_breaks(journal, await venue.open_orders())]
    if breaks:
        raise VenueError(
            "the venue's account is not what the journal says: " + "; ".join(str(one) for one in breaks),
            where=f"account {journal.account}",
            remedy="find the missing or foreign order first; a paper exchange started anew is a new account "
            "(--account NAME)",
        )
    quote = quotes.pop()
    return Exposure(
        quote=quote,
        base_assets={one.symbol: one.base for one in listed.values()},
        cash=balances.get(quote, Decimal(0)),
        positions={one.symbol: balances.get(one.base, Decimal(0)) for one in listed.values()},
    )


def expected_balances(
    opening: Mapping[str, Decimal], executions: Iterable[Fill], instruments: Mapping[str, Instrument]
) -> dict[str, Decimal]:
    """Opening balances moved by every execution and its commission."""
    held = dict(opening)
    for fill in executions:
        if fill.symbol not in instruments:
            raise VenueError(
                f"the journal holds executions in {fill.symbol}, which this run does not trade",
                remedy=f"add {fill.symbol} to the run's symbols, or use another account",
            )
        one = instruments[fill.symbol]
        moves = (
            (one.base, fill.side.sign * fill.qty),
            (one.quote, -fill.side.sign * fill.qty * fill.price),
            (fill.fee_asset, -fill.fee),
        )
        for asset, qty in moves:
            held[asset] = held.get(asset, Decimal(0)) + qty
    return held


def balance_breaks(expected: Mapping[str, Decimal], venue: Mapping[str, Decimal]) -> list[Break]:
    """Assets whose balance differs by more than `TOLERANCE`."""
    breaks = []
    for asset in sorted({*expected, *venue}):
        ours, theirs = expected.get(asset, Decimal(0)), venue.get(asset, Decimal(0))
        if abs(ours - theirs) > TOLERANCE:
            breaks.append(Break(f"balance {asset}", f"{ours:f}", f"{theirs:f}"))
    return breaks


def order_breaks(journal: Journal, venue: Iterable[tuple[str, str]]) -> list[Break]:
    """Orders open on one side only."""
    ours = {order.intent.client_order_id for order in journal.open_orders()}
    theirs = {client_order_id for _, client_order_id in venue}
    foreign = [Break(f"order {one}", "not ours", "open") for one in sorted(theirs - ours)]
    lost = [Break(f"order {one}", "open", "not open") for one in sorted(ours - theirs)]
    return foreign + lost
