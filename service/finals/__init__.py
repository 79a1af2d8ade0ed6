"""The final evaluation: confirm the best trials with fresh seeds, then read the test split once."""
