"""Models and checkpoints as files, and the check of a saved model."""
