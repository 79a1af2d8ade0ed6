"""The Optuna dashboard behind the login, and the changes that it may make to a live study."""
