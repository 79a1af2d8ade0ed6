"""Trials from elsewhere: which of them fit a study, and how they are imported."""
