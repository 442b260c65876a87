"""The paper exchange: Binance's protocol on loopback, behind the gateway, gate and clients of the real one.

How it fits together, from the socket inwards:

* `http`, `websocket`: the edge. Bytes in, `Request` out; ready frames fan out to many sockets.
* `application.VenueApplication`: one market behind one port; sends REST to the `Gateway`, WebSocket paths to
  `ws_api` (requests, sessions, user streams) or `streams.StreamHub` (market data).
* `gateway.Gateway`: routes, weights, keys, signatures, time units, headers, faults. A market describes itself
  by `Operation`s; REST and WebSocket API run the same ones.
* `venue.Venue` (a `matching.Matcher`): clock, books, tape, candles. A market subclasses it and supplies
  `settle`, `prevent_self_trade`, `complete` and `price_moved`; feeds drive it through `move_clock`,
  `set_depth`, `print_trade`, `set_forming` and `close_bar`.
* `feed.MarketFeed`: where the market comes from (`replay.BarReplay`, `mirror.feed.LiveMirror`, ...).
* `publication`: when what is owed to streams leaves, by turns with the clients.
* `auth`, `limits`, `params`, `errors`, `faults`, `delivery`, `metrics`, `wire`: shared by every market.
* `spot/`: what only the spot market has. `um/` does the same for USD-M futures.
* `exchange.LoopbackExchange`: feed + venue + port as one running object; `server.PaperExchange` is the spot
  one, `admin` are its pages under `/paper/`.

A further market needs: a `Venue` subclass, account objects with `name`, `listeners` (callables taking an
event dict whose times are microseconds; see `user_stream` for the conversion) and `limits` (`OrderLimits`),
its operations added to a `Gateway`, a `MarketListener` that publishes its streams to a `StreamHub`, and a
`VenueApplication` with its path prefixes. Amounts are whole 1e-8 units (`wire.E8`), times are microseconds
until they are shown (`Call.div`).
"""
