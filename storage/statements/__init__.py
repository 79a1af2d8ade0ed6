"""One SQL statement, one function. The caller opens and commits the transaction."""
