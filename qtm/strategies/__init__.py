"""What a strategy is, of four kinds, and how one is found by name or file."""

ENTRY_POINTS = "qtm.strategies"
"""Packages add strategies to `qtm strategies` by entry points of this group: name = "module:object"."""
