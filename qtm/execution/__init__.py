"""Orders that survive: journal, outbox, venue gateway, reconciliation and kill."""
