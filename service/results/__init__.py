"""Studies and trials as clients see them: views, pages and exports."""
