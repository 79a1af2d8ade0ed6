"""Custom models and data sets: their trials train in lanes of a separate process."""
