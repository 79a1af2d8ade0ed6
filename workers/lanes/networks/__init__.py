"""The networks that are trained over lanes."""
