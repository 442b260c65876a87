"""Measurements beside the peers, each module one subject; `python -m benchmarks --help` lists them."""
