"""Parameters for trials, by Optuna samplers."""
