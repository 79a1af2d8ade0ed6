"""What is told to clients that listen, and to claims that wait."""
