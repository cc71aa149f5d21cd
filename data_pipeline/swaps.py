"""A group of rendered transfers: every identity in every pose with every dynamics; its file.

Only a renderer can make it. Out of one group come true targets for transfers that no camera sees:
another identity with the same motion, one head's pose with another's expression, and so on.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.arrays import read_arrays, write_arrays
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT, Float


class SwapGroup(NamedTuple):
    """i identities x p poses x d dynamics, each at least 2: one picture each; labels as in `Clip`.

    Unknown labels are None. Dynamics do not move the head.
    """

    group_id: str
    size: int
    identity: tuple[str, ...]  # names, all different
    images: list[bytes]  # JPEG (RGB, size x size) in C order of [identity, pose, dyn]
    rotation: Float[np.ndarray, "i p 3"]
    translation: Float[np.ndarray, "i p 3"]
    log_scale: Float[np.ndarray, "i p 1"]
    points: Float[np.ndarray, "i p d 5 2"] | None = None
    arkit: Float[np.ndarray, "d 52"] | None = None
    # Against the camera: the direction of a dyn in the head, turned by the pose.
    gaze: Float[np.ndarray, "p d 2"] | None = None
    masks: list[bytes] | None = None  # PNG (grey, 255 is the person), in the same order
    # Surface position at rest seen by each pixel (`loading/correspondence.py`), PNG.
    places: list[bytes] | None = None

    def counts(self) -> tuple[int, int, int]:
        """(i, p, d)."""
        i, p = self.rotation.shape[:2]
        return i, p, len(self.images) // max(1, i * p)


LABELS = {
    "rotation": ("ip", (3,)),
    "translation": ("ip", (3,)),
    "log_scale": ("ip", (1,)),
    "points": ("ipd", (5, 2)),
    "arkit": ("d", (len(ARKIT),)),
    "gaze": ("pd", (2,)),
}
"""The arrays of a group: which of the three axes they have, and the shape of a row."""

PICTURES = ("images", "masks", "places")


def check_group(group: SwapGroup) -> None:
    """Raises ValueError for counts, shapes or types that do not fit, and for NaN or infinity."""
    name, counts = group.group_id, group.counts()
    if min(counts) < 2 or len(group.images) != np.prod(counts):
        raise ValueError(f"{name}: {len(group.images)} images are not {counts} of at least 2 each")
    if len(group.identity) != counts[0] or len(set(group.identity)) != counts[0]:
        raise ValueError(f"{name}: {group.identity} are not {counts[0]} different identities")
    for kind in ("masks", "places"):
        found = getattr(group, kind)
        if found is not None and len(found) != len(group.images):
            raise ValueError(f"{name}: {len(group.images)} images and {len(found)} {kind}")
    sizes = dict(zip("ipd", counts, strict=True))
    for field, (axes, row) in LABELS.items():
        value = getattr(group, field)
        if value is None:
            continue
        shape = (*(sizes[axis] for axis in axes), *row)
        if value.dtype != np.float32 or value.shape != shape:
            raise ValueError(f"{name}: {field} is {value.dtype} {value.shape}, not float32 {shape}")
        if not np.isfinite(value).all():
            raise ValueError(f"{name}: {field} is not finite")


def write_group(path: Path, group: SwapGroup) -> None:
    """One .npz file, uncompressed, whole or not at all."""
    check_group(group)
    arrays = {k: v for k, v in group._asdict().items() if isinstance(v, np.ndarray)}
    arrays |= {k: np.array(getattr(group, k)) for k in ("group_id", "size", "identity")}
    pictures = {name: getattr(group, name) for name in PICTURES}
    write_arrays(path, "group of swaps", arrays, pictures)


def find_groups(folder: Path) -> list[Path]:
    """The group files below a folder, in order. Raises UserError when there is none."""
    files = sorted(Path(folder).rglob("*.npz"))
    if not files:
        raise UserError(
            f"{folder}: holds no groups of swaps (.npz); make them by `vasa-jax synth --swaps N`"
        )
    return files


def read_group(path: Path) -> SwapGroup:
    """The group of a file. Raises UserError for one that cannot be read, naming it."""
    try:
        arrays, pictures = read_arrays(path, PICTURES)
        fields: dict[str, Any] = {**arrays, **pictures}
        fields["identity"] = tuple(str(name) for name in arrays["identity"])
        for name, kind in (("group_id", str), ("size", int)):
            fields[name] = kind(arrays[name])
        group = SwapGroup(**fields)
        check_group(group)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(
            f"{path}: is not a readable group of swaps ({error}); make it anew"
        ) from None
    return group
