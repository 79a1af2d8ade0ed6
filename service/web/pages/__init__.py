"""The web interface: one shell for all its pages, and the modules that fill it in the browser."""
