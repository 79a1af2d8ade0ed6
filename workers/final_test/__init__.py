"""The one room that reads the test split."""
