"""Optuna's studies and trials: read from memory, and written by group commit."""
