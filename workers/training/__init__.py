"""Building blocks of training: optimizers, schedules, early stopping, random numbers, precision."""
