"""The trials in training on one device."""
