"""Trains trials on the devices of one machine. Of the service it knows the schemas and the client alone."""
