"""Trials of several processes that talk to one another: ranks, started as torchrun starts them."""
