"""Custom models and data sets, in the process that trains them."""
