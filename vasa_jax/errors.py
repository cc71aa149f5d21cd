"""The error that a user sees as a single line, and what to install where a package is missing."""

import importlib.util

__all__ = [
    "EXTRAS",
    "UserError",
    "explain_missing",
    "require",
    "require_extra",
    "require_modules",
]

EXTRAS = {
    "apache_beam": "beam",
    "grain": "train",
    "hama": "phonemes",
    "huggingface_hub": "hub",
    "importlib_resources": "data",
    "matplotlib": "data",
    "moderngl": "data",
    "onnx": "data",
    "onnxruntime": "data",
    "ott": "score",
    "tensorboardX": "train",
    "tensorflow_datasets": "data",
}
"""Modules that the base install lacks, and the extra of `vasa-jax` that brings each."""


class UserError(Exception):
    """A mistake in the user's input: the message says what is wrong, why, and how to mend it.

    The command line prints it as one line and exits with code 2; library users may catch it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


def require(condition: bool, message: str) -> None:
    """Raise UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def require_modules(*names: str) -> None:
    """Raise UserError unless all these modules of `EXTRAS` are installed; imports none of them."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        extras = sorted({EXTRAS[name] for name in missing})
        raise UserError(
            f"needs {', '.join(missing)}, which the base install lacks: "
            f'pip install "vasa-jax[{",".join(extras)}]"'
        )


def require_extra(extra: str) -> None:
    """Raise UserError unless every module of an extra is installed."""
    require_modules(*(name for name, place in EXTRAS.items() if place == extra))


def explain_missing(error: ModuleNotFoundError) -> UserError | None:
    """The error to show where a module of `EXTRAS` cannot be imported; None for any other."""
    name = (error.name or "").partition(".")[0]
    try:
        require_modules(*({name} & EXTRAS.keys()))
    except UserError as shown:
        return shown
    return None
