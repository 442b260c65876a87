"""The USD-M futures market: positions, margin, funding, liquidation, conditional orders."""
