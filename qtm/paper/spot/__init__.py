"""What only the spot market has: accounts, orders, filters, order lists, its answers and streams."""
