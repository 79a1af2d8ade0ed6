"""The built-in models, and how they are built and evaluated."""
