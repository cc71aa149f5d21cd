"""The one error class that a user sees as a single line."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """A mistake in what the user gave us: the message says what is wrong, why, and how to mend it.

    The command line prints it as one line and exits with code 2; library users may catch it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


def require(condition: bool, message: str) -> None:
    """Raise UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def exit_with(main: Callable[[], int]) -> NoReturn:
    """End this process with main's exit status; a UserError becomes one line and status 2, and a
    signal that ends the process 128 and its number."""
    from vasa_jax.signals import Ended, end_cleanly

    try:
        with end_cleanly():
            status = main()
        raise SystemExit(status)
    except Ended as ended:
        raise SystemExit(ended.exit_code) from None
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
