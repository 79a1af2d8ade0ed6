"""Which trials train together on one device, and how many."""
