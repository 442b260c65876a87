"""Choosing where history comes from, and saying why in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from qtm.clock import Clock, SystemClock
from qtm.market.source import Source
from qtm.settings import Settings

if TYPE_CHECKING:
    from qtm.market.rest import CcxtRest

SourceName = Literal["auto", "archive", "rest", "synthetic"]


class ChosenSource(NamedTuple):
    """A source and why it was taken; `is_synthetic` tells that no price in it ever traded."""

    source: Source
    reason: str
    is_synthetic: bool = False


def choose_source(
    settings: Settings, name: SourceName = "auto", *, clock: Clock | None = None
) -> ChosenSource:
    """The source of the given name, or with `auto` the first that answers.

    A local archive folder is taken without asking anyone. A remote archive is tried first, then the venue's
    REST interface, and when neither answers the seeded synthetic market stands in.

    Raises
    ------
    ConfigError
        When the archive folder does not exist.
    """
    from qtm.market.synthetic import SyntheticMarket
    from qtm.market.vision import VisionArchive

    market = settings.market
    clock = clock or SystemClock()
    if name == "synthetic":
        return ChosenSource(
            SyntheticMarket(market.synthetic_seed), "the synthetic market was asked for", is_synthetic=True
        )
    if name == "rest":
        return ChosenSource(rest_source(settings, clock=clock), "the venue's REST interface was asked for")
    archive = VisionArchive(market.archive, timeout_s=market.timeout_s, retries=market.retries, clock=clock)
    if name == "archive":
        return ChosenSource(archive, f"the archive at {market.archive} was asked for")
    if not archive.is_remote:
        return ChosenSource(archive, f"the archive folder {market.archive} is there")
    archive_silent = archive.reachable()
    if not archive_silent:
        return ChosenSource(archive, f"the archive at {market.archive} answers")
    archive.close()
    rest = rest_source(settings, clock=clock)
    rest_silent = rest.reachable()
    if not rest_silent:
        return ChosenSource(rest, f"the archive does not answer ({archive_silent}); the venue's REST does")
    rest.close()
    return ChosenSource(
        SyntheticMarket(market.synthetic_seed),
        f"SYNTHETIC prices, because neither the archive ({archive_silent}) nor the venue can be reached",
        is_synthetic=True,
    )


def rest_source(settings: Settings, *, clock: Clock | None = None) -> CcxtRest:
    """The venue's REST interface as the settings name it."""
    from qtm.market.rest import CcxtRest

    market = settings.market
    return CcxtRest(
        market.spot_rest, market.um_rest, timeout_s=market.timeout_s, retries=market.retries, clock=clock
    )
