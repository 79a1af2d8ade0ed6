"""Optuna's studies and trials: in memory to be read, group-committed to be kept."""
