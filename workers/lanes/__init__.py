"""Trials that train together as slices of the same tensors."""
