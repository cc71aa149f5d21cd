"""Options of `vasa-jax prepare`."""

import hashlib
import json
from typing import NamedTuple

from vasa_jax.errors import UserError
from vasa_jax.typing import FPS

SIZES = (128, 256, 512)
_SIZE = f"one of {', '.join(map(str, SIZES))} (a smaller config shrinks them as it trains)"
IDENTITY_FROM = ("auto", "folder", "file")
FORMAT = 3
"""Counts changes of what a prepared clip holds: clips of an older count are made anew."""


class PrepareOptions(NamedTuple):
    """Every choice that changes a prepared clip; all of them enter `digest`."""

    size: int = 256  # side of the square pictures, pixels
    # min_seconds, max_seconds: length of a clip.
    min_seconds: float = 1.5
    max_seconds: float = 10.0
    jpeg_quality: int = 95  # of the stored pictures, 1..100
    # Least mean side of the face's hull in the source, pixels; None is size / 4.
    min_face: float | None = None
    shot_threshold: float = 27.0  # mean change of hue, saturation and value (0..255) that is a cut
    detect_every: int = 12  # frames between two searches for all faces
    # A second face at least this large beside the first makes several people.
    other_face: float = 0.5
    # The box's side is drawn in exp(+-x), so that the head's distance varies.
    margin_jitter: float = 0.15
    max_outside: float = 0.1  # largest part of the box that may lie outside of the picture
    # Least `quality` (100 - BRISQUE of the worst tenth of the frames). On ten real crops of 256 px:
    # 49..80 as they were, 20..30 after a blur of sigma 2, 27..50 as JPEG of quality 10, 40..50 with
    # noise of sigma 25; little noise (sigma 10) may raise it.
    min_quality: float = 30.0
    max_lag: int = 5  # frames that the sound may be off the mouth; see `sync.judge`
    need_moving_mouth: bool = False  # discard clips whose mouth stays still
    min_loudness: float = -55.0  # least loudness in dB below full scale; quieter clips are silent
    seed: int = 0  # of everything random

    @property
    def min_frames(self) -> int:
        return round(self.min_seconds * FPS)

    @property
    def max_frames(self) -> int:
        return round(self.max_seconds * FPS)

    @property
    def least_face(self) -> float:
        return self.size / 4 if self.min_face is None else self.min_face

    def digest(self, labels: str) -> str:
        """16 hex digits that name these choices and the networks behind the labels."""
        text = json.dumps([FORMAT, labels, self._asdict()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_options(options: PrepareOptions) -> None:
    """Raises UserError for a choice that cannot work, naming its flag."""
    rules = (
        (options.size in SIZES, "--size", _SIZE),
        (options.min_seconds >= 0.2, "--min-seconds", "at least 0.2"),
        (
            options.max_seconds >= 2 * options.min_seconds,
            "--max-seconds",
            "at least twice --min-seconds, so that a long shot can be cut without a rest",
        ),
        (1 <= options.jpeg_quality <= 100, "--jpeg-quality", "1 to 100"),
        (options.least_face >= 16, "--min-face", "at least 16 pixels"),
        (0 < options.shot_threshold <= 255, "--shot-threshold", "more than 0, at most 255"),
        (options.detect_every >= 1, "--detect-every", "at least 1"),
        (options.other_face > 0, "--other-face", "more than 0"),
        (0 <= options.margin_jitter <= 0.5, "--margin-jitter", "0 to 0.5"),
        (0 <= options.max_outside <= 1, "--max-outside", "0 to 1"),
        (0 <= options.max_lag <= 15, "--max-lag", "0 to 15 frames"),
    )
    for fine, flag, wanted in rules:
        if not fine:
            raise UserError(f"{flag} must be {wanted}")
