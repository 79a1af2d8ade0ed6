"""Trains trials on the devices of one machine. Uses only the schemas and the client of the service."""
