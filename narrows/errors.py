"""The error that ends a command with a message instead of a traceback."""


class CommandError(Exception):
    """A command cannot do what it was asked to; the message says why, in one line or several."""
