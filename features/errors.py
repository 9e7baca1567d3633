"""The one error that is the user's to mend."""


class UserError(Exception):
    """One sentence that names what is wrong and how to mend it; commands print it and exit with status 2."""
