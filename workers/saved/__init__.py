"""Models and checkpoints as files, and the evaluation of a saved model."""
