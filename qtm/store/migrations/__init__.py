"""Schema history, applied by `qtm.store.database.open_database`."""
