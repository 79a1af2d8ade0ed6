"""One thread writes: transactions, batches and upserts."""
