"""Figures of videos that earlier runs measured, so that an interrupted run goes on.

One JSON file a video, named by a hash of its content, its counterpart's content, and everything
else that figures depend on; beside it a strip of pictures for the contact sheet.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

import vasa_jax
from vasa_jax.cache import cache_dir
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole
from vasa_jax.typing import UInt8

FORMAT = 1


class Entry(NamedTuple):
    """What is kept of one video."""

    values: dict[str, float]
    reasons: dict[str, str]
    frames: int
    found: float  # share of the frames in which a face is found
    features: list[list[float]]  # of runs of 25 frames, for the Frechet distance
    mouth: list[float | None]  # opening, of the first frames alone
    strip: UInt8[np.ndarray, "h w 3"]  # pictures of the sheet


class Cache:
    """The cache's folder. options: all that figures depend on besides the videos, JSON-ready."""

    def __init__(self, options: Mapping[str, Any], folder: Path | None = None):
        self._folder = cache_dir("scores") if folder is None else folder
        self._options = json.dumps(
            {"format": FORMAT, "version": vasa_jax.__version__, **options}, sort_keys=True
        )
        self._digests: dict[Path, str] = {}

    def key(self, video: Path, reference: Path | None) -> str:
        """Of a video, and the real one that it is compared with. Raises UserError for a file that
        cannot be read."""
        parts = [self._options, self._digest(video)]
        parts.append("" if reference is None else self._digest(reference))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            try:
                with open(path, "rb") as file:
                    self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
        return self._digests[path]

    def read(self, key: str) -> Entry | None:
        """What an earlier run found; None where there is nothing, or nothing whole."""
        path = self._folder / f"{key}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            image = cv2.imdecode(np.fromfile(path.with_suffix(".jpg"), np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                return None
            strip = np.ascontiguousarray(image[..., ::-1])
            return Entry(**content, strip=strip)
        except (OSError, ValueError, TypeError, cv2.error):
            return None

    def write(self, key: str, entry: Entry) -> None:
        """Keep it. Raises UserError where there is no room."""
        path = self._folder / f"{key}.json"
        image = cv2.imencode(".jpg", np.ascontiguousarray(entry.strip[..., ::-1]))[1]
        write_whole(path.with_suffix(".jpg"), "cache", image.tobytes())
        content = entry._asdict()
        del content["strip"]
        write_whole(path, "cache", json.dumps(content, allow_nan=False))
