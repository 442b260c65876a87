"""The operational database: orders, decisions, fills, kills, runs and research trials."""
