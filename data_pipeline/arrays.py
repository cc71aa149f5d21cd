"""One record as an .npz file of arrays and compressed images, written atomically."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vasa_jax.media.files import write_whole


def write_arrays(
    path: Path,
    what: str,
    arrays: Mapping[str, np.ndarray | np.generic],
    pictures: Mapping[str, Sequence[bytes] | None],
) -> None:
    """An uncompressed .npz (the pictures are compressed already); lists that are None stay out.

    what: what the file is called in an error. Raises UserError where it cannot be written.
    """
    content: dict[str, Any] = dict(arrays)
    for name, images in pictures.items():
        if images is not None:
            content[name] = np.frombuffer(b"".join(images), np.uint8)
            content[f"{name}_sizes"] = np.array([len(image) for image in images], np.int64)
    stream = io.BytesIO()
    np.savez(stream, **content)
    write_whole(path, what, stream.getvalue())


def read_arrays(
    path: Path, pictures: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, list[bytes]]]:
    """What `write_arrays` wrote. Raises what numpy, zipfile and zlib raise for broken files."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    images = {}
    for name in pictures:
        if name in arrays:
            ends = np.cumsum(arrays.pop(f"{name}_sizes"))
            joined = arrays.pop(name).tobytes()
            images[name] = [joined[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return arrays, images
