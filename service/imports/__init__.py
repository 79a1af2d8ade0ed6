"""Trials from elsewhere: which fit a study, and how they are taken in."""
