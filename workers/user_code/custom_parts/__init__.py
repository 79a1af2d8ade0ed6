"""Own models and data sets, trained by our lanes in a process of their own."""
