"""One study in memory: its queue of trials, its open leases, its rounds and its end, behind one lock."""
