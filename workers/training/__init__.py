"""Pieces of a training: optimizers, schedules, early stopping, random numbers, precision."""
