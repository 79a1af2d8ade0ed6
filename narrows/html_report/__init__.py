"""A study as one HTML page that needs no network, made from the answers of the API."""
