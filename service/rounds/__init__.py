"""Narrowing rounds: the ranges of each round, and when the next one begins."""
