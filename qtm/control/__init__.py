"""Who may let what trade: candidates, their evidence, and the ladder from research to live."""
