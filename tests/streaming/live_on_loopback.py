"""`python -m tests.streaming.live_on_loopback`: the stream as it trades live, told that Binance is the paper
exchange at `--spot-url`. Settings, key, sign-off, promotion and caps are those of live trading.
"""

from dataclasses import replace

from qtm.execution.access import VenueAccess, venue_access
from qtm.settings import Settings
from streaming import __main__ as command


def on_loopback(settings: Settings, *, spot_url: str, account: str) -> VenueAccess:
    """The access of live trading, at another address."""
    socket = "ws" + spot_url.removeprefix("http")
    live = venue_access(settings, account=account)
    return replace(live, rest_url=spot_url, stream_url=socket, ws_api_url=socket)


if __name__ == "__main__":
    command.venue_access = on_loopback
    command.app()
