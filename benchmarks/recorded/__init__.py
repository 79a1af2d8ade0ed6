"""Recorded trainings, and searches that look them up instead of training."""
