"""Data sets as tensors: read, split, augmented, cut into batches."""
