"""Trials that train together, each as a slice of the same tensors."""
