"""Data sets as tensors: reading, splitting, augmentation and batches."""
