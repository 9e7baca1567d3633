"""The one error that the user can fix."""


class UserError(Exception):
    """One sentence that names what is wrong and how to fix it; commands print it and exit with status 2."""
