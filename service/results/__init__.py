"""Studies and trials as clients see them."""
