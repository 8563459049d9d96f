"""What a command refuses."""

__all__ = ["InputError"]


class InputError(Exception):
    """The user's input is at fault; the message is one line and says what is accepted."""
