"""Which venue the settings allow, and with which key: paper unless live trading is armed on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from qtm.errors import ConfigError
from qtm.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BINANCE_REST = "https://api.binance.com"


@dataclass(frozen=True)
class VenueAccess:
    """Addresses and key of one spot account; `account` is its name in our journal."""

    rest_url: str
    stream_url: str
    ws_api_url: str
    account: str
    api_key: str
    api_secret: str = field(repr=False)


def venue_access(settings: Settings, *, spot_url: str = "", account: str = "") -> VenueAccess:
    """The access the settings allow.

    Parameters
    ----------
    spot_url
        Another address of the paper exchange than the settings name.
    account
        Another name for the account.

    Raises
    ------
    ConfigError
        When paper trading is pointed away from this machine, or live trading is not armed.
    """
    if settings.live.venue == "paper":
        paper = settings.paper
        rest = (spot_url or f"http://{paper.host}:{paper.spot_port}").rstrip("/")
        if urlsplit(rest).hostname not in _LOOPBACK:
            raise ConfigError(
                "paper trading talks to the paper exchange on this machine only",
                where=rest,
                remedy="live trading needs live.venue = 'binance' and live.armed = true",
            )
        socket = "ws" + rest.removeprefix("http")
        secret = paper.api_secret.get_secret_value()
        return VenueAccess(rest, socket, socket, account or "paper", paper.api_key, secret)
    live = settings.live
    if not live.armed or not live.api_key or not live.api_secret.get_secret_value():
        raise ConfigError(
            "live trading is not armed",
            where="live",
            remedy="set live.armed, live.api_key and live.api_secret, and know why",
        )
    if spot_url and spot_url.rstrip("/") != _BINANCE_REST:
        raise ConfigError("live trading goes to Binance only", where=spot_url, remedy=f"use {_BINANCE_REST}")
    return VenueAccess(
        _BINANCE_REST,
        "wss://stream.binance.com:9443",
        "wss://ws-api.binance.com:443",
        account or f"binance-{live.api_key[:8]}",
        live.api_key,
        live.api_secret.get_secret_value(),
    )
