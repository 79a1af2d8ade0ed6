"""Experiments: published figures, measured again by studies of this service."""
