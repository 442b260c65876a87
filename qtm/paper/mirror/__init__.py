"""A live mirror of Binance's public spot market, for paper orders against real prices. Public data, no keys.

* `depth_sync.DepthSync`: one symbol's depth, kept exact by the venue's sequence rules.
* `upstream`: the REST answers and the stream connections the mirror reads.
* `connection`: one stream connection after the other, without a hole where that is possible.
* `mirrored_symbol.MirroredSymbol`: that depth beside what paper trades have taken of it.
* `feed.LiveMirror`: drives the venue with them.
"""
