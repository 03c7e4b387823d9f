"""Errors that a user can act on: one line that says what, the values, and what to do."""


class HmdcError(Exception):
    """Bad input.  The CLI prints the message as one line and exits with 2."""


class NotStreamable(HmdcError):
    """The network cannot run one time step at a time; the message names the layer in the way."""
