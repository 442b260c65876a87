"""A live mirror of a public Binance market, for paper orders against real prices. Public data, no keys.

* `markets`: what is particular about reading the spot and the futures market.
* `depth_sync.DepthSync`: one symbol's depth, kept exact by the venue's sequence rules.
* `upstream`: the REST answers and the stream connections the mirror reads.
* `connection`: one stream connection after the other, without a hole where that is possible.
* `mirrored_symbol.MirroredSymbol`: that depth beside what paper trades have taken of it.
* `venue_sides`: what a market tells besides (block trades; mark prices and funding), and who takes it.
* `feed.LiveMirror`: drives the venue with them.
"""
