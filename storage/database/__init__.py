"""Opening the database, and owning it: one service at a time writes to it."""
