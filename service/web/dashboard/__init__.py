"""The Optuna dashboard behind our login, and what its changes do to a live study."""
