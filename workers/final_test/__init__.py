"""The final evaluation's reading of the test split. No other code reads it."""
