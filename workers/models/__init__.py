"""The built-in models: how they are built and evaluated."""
