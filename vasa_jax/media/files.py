"""Checks of input paths, and output files that appear whole or not at all."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from vasa_jax.errors import UserError

__all__ = ["PendingFile", "PendingFolder", "check_input", "remove_pending", "write_whole"]


def check_input(path: str | os.PathLike, what: str) -> Path:
    """Return `path` as an absolute Path after making sure that it is a readable, non-empty file.

    Absolute, because FFmpeg would take a relative name with a colon in it for a protocol.

    Args:
        path: the user's path.
        what: the kind of file in the message, such as "image".

    Raises:
        UserError: missing, a directory or other special file, empty, or not readable.
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UserError(f"{what} path {text!r} is not a file name; give the path of a file")
    file = Path(text).absolute()
    try:
        if not file.exists():
            raise UserError(f"{what} {text!r} does not exist; check the path")
        if file.is_dir():
            raise UserError(f"{what} {text!r} is a directory; give the path of one file in it")
        if not file.is_file():
            raise UserError(f"{what} {text!r} is not a regular file; save it to disk first")
        if file.stat().st_size == 0:
            raise UserError(f"{what} {text!r} is empty (0 bytes); copy or download it again")
        with file.open("rb"):
            pass
    except OSError as error:
        raise UserError(
            f"{what} {text!r} cannot be read ({error.strerror or error}); "
            "check its name and permissions"
        ) from error
    return file


class PendingFile:
    """A hidden file beside `path` that takes its name on `commit()` and vanishes on `discard()`.

    Making one creates missing parent folders and the hidden file itself, so a folder that cannot
    be written to is found before any work is done. The hidden name keeps the extension (encoders
    choose the format by it).

    Raises:
        UserError: at construction, when `path` is a directory or its folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike, what: str):
        text = os.fspath(path)
        if not text or "\0" in text:
            raise UserError(f"{what} path {text!r} is not a file name; give the path of a file")
        self.path = Path(text).absolute()
        self.temporary = self.path.with_name(
            f".{self.path.stem[:40]}.{uuid.uuid4().hex[:8]}.part{self.path.suffix}"
        )
        try:
            if self.path.is_dir():
                raise UserError(f"{what} {text!r} is a directory; add a file name to it")
            _pending[self.temporary] = os.getpid()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # "x" and not mkstemp: the finished file must get the user's usual permissions.
            self.temporary.open("xb").close()
        except OSError as error:
            _pending.pop(self.temporary, None)
            raise UserError(
                f"cannot write {what} {text!r} ({error.strerror or error}); "
                "choose a folder that you may write to"
            ) from error

    def commit(self) -> None:
        """Move the finished file to its name, over an older file of that name.

        Raises:
            UserError: the file system refused the move; the hidden file is removed.
        """
        try:
            os.replace(self.temporary, self.path)
        except OSError as error:
            self.discard()
            raise UserError(
                f"cannot move the finished file to {str(self.path)!r} "
                f"({error.strerror or error}); choose another name or folder"
            ) from error
        _pending.pop(self.temporary, None)

    def discard(self) -> None:
        """Remove the hidden file; calling it twice, or after `commit()`, does nothing."""
        self.temporary.unlink(missing_ok=True)
        _pending.pop(self.temporary, None)


class PendingFolder:
    """A hidden folder beside `path` that takes its name on `commit()`, with all that lies in it.

    As a context it is discarded at the end. Making one creates missing parent folders.

    Raises:
        UserError: at construction, when the place cannot be written to.
    """

    def __init__(self, path: str | os.PathLike, what: str):
        # Through links: what they lead to is replaced, and not the link.
        self.path, self._what = Path(os.path.realpath(path)), what
        self.temporary, self._old = self._beside(), self._beside()
        _pending[self.temporary] = os.getpid()
        try:
            self.temporary.mkdir(parents=True)
        except OSError as error:
            _pending.pop(self.temporary)
            raise UserError(
                f"cannot write {what} {os.fspath(path)!r} ({error.strerror or error}); "
                "choose a folder that you may write to"
            ) from error

    def _beside(self) -> Path:
        return self.path.with_name(f".{self.path.name[:40]}.{uuid.uuid4().hex[:8]}.part")

    def commit(self) -> None:
        """Give the folder its name; an older one of that name is removed with its content, and only
        when the new one is there.

        Raises:
            UserError: the file system refused the move; the older folder is there again.
        """
        try:
            if self.path.exists():
                os.rename(self.path, self._old)
            os.rename(self.temporary, self.path)
        except OSError as error:
            raise UserError(
                f"cannot move the finished {self._what} to {str(self.path)!r} "
                f"({error.strerror or error}); choose another name or folder"
            ) from error
        finally:
            if self._old.exists():
                if self.path.exists():
                    shutil.rmtree(self._old, ignore_errors=True)
                else:
                    os.rename(self._old, self.path)

    def discard(self) -> None:
        """Remove the hidden folder; calling it twice, or after `commit()`, does nothing."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        _pending.pop(self.temporary, None)

    def __enter__(self) -> "PendingFolder":
        return self

    def __exit__(self, *_) -> None:
        self.discard()


_pending: dict[Path, int] = {}
"""Hidden files and folders that are neither committed nor discarded, and the process of each."""


def remove_pending() -> None:
    """Remove all hidden files and folders of this process, which is about to end."""
    for path, process in list(_pending.items()):
        if process != os.getpid():  # a forked process knows its parent's
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _pending.pop(path, None)


def write_whole(path: str | os.PathLike, what: str, content: bytes | str) -> None:
    """Write a file whole or not at all. what: what it is called in an error.

    Raises:
        UserError: where `PendingFile` does, and on a full disk.
    """
    pending = PendingFile(path, what)
    try:
        pending.temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        pending.commit()
    except OSError as error:
        raise UserError(
            f"cannot write {what} {os.fspath(path)!r} ({error.strerror or error}); "
            "free some disk space or choose another folder"
        ) from error
    finally:
        pending.discard()
