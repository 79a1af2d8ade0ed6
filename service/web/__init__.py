"""HTTP and nothing else: the application, its routes, its pages and its middleware."""
