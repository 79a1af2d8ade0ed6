"""All studies of the service, by name, and the workers that it knows."""
