"""The one error class that a user sees as a single line."""


class UserError(Exception):
    """A mistake in what the user gave us: the message says what is wrong, why, and how to mend it.

    The command line prints it as one line and exits with code 2; library users may catch it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
