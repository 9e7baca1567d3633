"""The one error that the embedded services raise."""


class ServiceError(Exception):
    """A service, or what it needs, is missing or broken. The message is one sentence that names it and its fix."""
