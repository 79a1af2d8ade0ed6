"""The database: how it is opened, and that one service owns it at a time."""
