"""The single writer thread: batches, transactions and SQL."""
