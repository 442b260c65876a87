"""Risk: measures and their back-tests, limits, and the gate every order passes."""
