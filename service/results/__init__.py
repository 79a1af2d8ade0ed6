"""Studies and trials as clients see them: the ranking of the best, views, pages and exports."""
