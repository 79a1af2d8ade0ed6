"""The worker processes of one machine."""
