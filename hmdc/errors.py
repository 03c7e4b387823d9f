"""Errors that a user can act on: one line that says what, the values, and what to do."""


class HmdcError(Exception):
    """Bad input.  The CLI prints the message and exits with 2."""

    def __str__(self) -> str:
        """One line, whatever names a file has."""
        return " ".join(super().__str__().split())


class NotStreamable(HmdcError):
    """The network cannot run one time step at a time; the message names the layer in the way."""
