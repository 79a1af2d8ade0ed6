"""What travels over HTTP: request bodies and answers."""
