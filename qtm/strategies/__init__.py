"""What a strategy is, of four kinds, and how one is found by name or file."""
