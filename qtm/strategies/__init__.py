"""The strategy contract and the bundled strategies, one file each."""
