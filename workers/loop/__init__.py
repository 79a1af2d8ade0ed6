"""The life of one worker process: claim, train, report, hand over."""
