"""The market, the account and the venue that the options of `qtm paper serve` describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from qtm.market.instruments import Market
    from qtm.paper.exchange import AccountSpec, LoopbackExchange, Serving
    from qtm.paper.feed import MarketFeed
    from qtm.settings import Settings
    from qtm.trading.costs import CostModel


def open_feed(
    market: str, names: tuple[str, ...], venue: Market, costs: CostModel, *, lake: str, interval: str,
    start: str, end: str, speed: str, history: int, recording: Path | None, seed: int, mirror_url: str,
    mirror_rest_url: str,
) -> MarketFeed:  # fmt: skip
    """The market `--market` asks for."""
    from qtm.errors import ConfigError
    from qtm.paper import sources

    if market == "replay":
        return sources.replay_from_lake(
            lake,
            names,
            interval,
            start=start,
            end=end,
            speed=speed,
            history=history,
            costs=costs,
            venue=venue,
        )
    if market == "synthetic":
        return sources.synthetic_market(
            names, start=start, end=end, speed=speed, history=history, seed=seed, venue=venue
        )
    if market == "mirror":
        return sources.live_mirror(
            names, stream_url=mirror_url, rest_url=mirror_rest_url, history=history, venue=venue
        )
    if recording is None:
        raise ConfigError(
            "no recording to play", where="--recording", remedy="name a file of recorded frames"
        )
    return sources.recorded_market(recording, names, lake, speed=speed, venue=venue)


def account_spec(config: Settings, feed: MarketFeed, funds: dict[str, str]) -> AccountSpec:
    """The account the command opens, with what it starts with."""
    from qtm.paper.exchange import AccountSpec

    quotes = {instrument.quote for instrument in feed.instruments().values()}
    funds = funds or dict.fromkeys(quotes, str(config.paper.quote_balance))
    return AccountSpec(
        "paper", config.paper.api_key, config.paper.api_secret.get_secret_value(), dict(sorted(funds.items()))
    )


def spot_exchange(
    feed: MarketFeed, *, costs: CostModel, limits: bool, state: Path | None, legacy_listen_key: bool,
    **serving: Unpack[Serving],
) -> LoopbackExchange:  # fmt: skip
    """The spot exchange."""
    from qtm.paper.limits import without_limits
    from qtm.paper.server import PaperExchange
    from qtm.paper.spot.venue import RATE_LIMITS

    return PaperExchange(
        feed,
        costs=costs,
        legacy_listen_key=legacy_listen_key,
        rate_limits=RATE_LIMITS if limits else without_limits(RATE_LIMITS),
        state=state,
        **serving,
    )


def um_exchange(
    feed: MarketFeed, *, costs: CostModel, limits: bool, state: Path | None, lake: str,
    brackets: Path | None, **serving: Unpack[Serving],
) -> LoopbackExchange:  # fmt: skip
    """The futures exchange; a replay of the lake comes with its index and funding."""
    from qtm.paper import sources
    from qtm.paper.limits import without_limits
    from qtm.paper.replay import BarReplay
    from qtm.paper.synthetic import SyntheticFeed
    from qtm.paper.um.brackets import load_brackets
    from qtm.paper.um.index_price import IndexSource, SyntheticPremium
    from qtm.paper.um.server import UmPaperExchange
    from qtm.paper.um.venue import RATE_LIMITS

    index: IndexSource | None = None
    funding = None
    if isinstance(feed, SyntheticFeed):
        index = SyntheticPremium(serving.get("seed", 0))
    elif isinstance(feed, BarReplay):
        index, funding = sources.index_from_lake(lake, feed), sources.funding_from_lake(lake, feed)
    return UmPaperExchange(
        feed,
        funding=funding,
        index=index,
        brackets=load_brackets(brackets) if brackets is not None else None,
        costs=costs,
        rate_limits=RATE_LIMITS if limits else without_limits(RATE_LIMITS),
        state=state,
        **serving,
    )
