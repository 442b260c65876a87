"""The live path as a Bytewax dataflow: feed -> strategies -> gate -> outbox -> venue."""
