"""A study as one HTML page that stands alone, made of what the API tells."""
