"""The ground: instruments, bars, funding, their sources, and the lake that keeps them."""
