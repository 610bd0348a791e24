"""How a running call is given up."""

__all__ = ["Cancelled"]


class Cancelled(BaseException):
    """Raised in the function of a job that is cancelled while it runs. No `Exception`, so that only
    what asks for it, or cleans up, takes it."""
