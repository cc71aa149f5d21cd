"""TFDS features of a clip and of a transfer group, and their conversion, without TensorFlow.

Only features that encode and decode without TensorFlow are used: text, scalars, byte strings, and
arrays stored as their bytes (a list of numbers would be parsed one Python object at a time).
Whatever a clip does not know has no rows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vasa_jax.data_pipeline.clip import INTEGER, PER_CLIP, PER_FRAME, Clip
from vasa_jax.data_pipeline.swaps import LABELS, SwapGroup

WHOLE_CLIP = {name: (None, *row) for name, row in PER_CLIP.items()}
OPTIONAL = ("masks", *PER_FRAME, *PER_CLIP, *INTEGER)
"""The fields of a clip that may be unknown."""


def _array(shape: tuple, kind: type) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.Tensor(shape=shape, dtype=kind, encoding="bytes")


def _pictures() -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_))


def clip_features() -> Any:
    """The tfds.features.FeaturesDict of a `Clip`: one feature per field of that name.

    landmarks are (t * p, 2): TFDS cannot restore two unknown axes of an empty array.
    """
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "clip_id": tfds.features.Text(),
            "identity": tfds.features.Text(),
            "size": tfds.features.Scalar(np.int64),
            "frames": _pictures(),
            "audio": _array((None,), np.int16),
            "masks": _pictures(),
            **{name: _array((None, *row), np.float32) for name, row in PER_FRAME.items()},
            **{name: _array(shape, np.float32) for name, shape in WHOLE_CLIP.items()},
            "landmarks": _array((None, 2), np.int16),
            "phonemes": _array((None,), np.int16),
        }
    )


def clip_to_example(clip: Clip) -> dict[str, Any]:
    """The values of a clip by the names of `clip_features`."""
    example: dict[str, Any] = {k: getattr(clip, k) for k in ("clip_id", "identity", "size")}
    example |= {"frames": clip.frames, "audio": clip.audio, "masks": clip.masks or []}
    for name, row in PER_FRAME.items():
        value = getattr(clip, name)
        example[name] = np.zeros((0, *row), np.float32) if value is None else value
    for name, row in PER_CLIP.items():
        value = getattr(clip, name)
        rows = np.zeros((0, *row), np.float32)
        example[name] = rows if value is None else np.asarray(value, np.float32)[None]
    marks, spoken = clip.landmarks, clip.phonemes
    example["landmarks"] = np.zeros((0, 2), np.int16) if marks is None else marks.reshape(-1, 2)
    example["phonemes"] = np.zeros(0, np.int16) if spoken is None else spoken
    return example


def clip_from_example(example: Mapping[str, Any]) -> Clip:
    """The clip of a decoded record, as `as_data_source` gives it."""
    frames = list(example["frames"])
    fields: dict[str, Any] = {
        "clip_id": _text(example["clip_id"]),
        "identity": _text(example["identity"]),
        "size": int(example["size"]),
        "frames": frames,
        "audio": example["audio"],
        "masks": list(example["masks"]) or None,
    }
    for name in PER_FRAME:
        fields[name] = example[name] if len(example[name]) else None
    for name in PER_CLIP:
        fields[name] = example[name][0] if len(example[name]) else None
    marks, spoken = example["landmarks"], example["phonemes"]
    fields["landmarks"] = marks.reshape(len(frames), -1, 2) if len(marks) else None
    fields["phonemes"] = spoken if len(spoken) else None
    return Clip(**fields)


def swap_features() -> Any:
    """The tfds.features.FeaturesDict of a `SwapGroup`: its fields, and the three counts."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "group_id": tfds.features.Text(),
            "size": tfds.features.Scalar(np.int64),
            "counts": _array((3,), np.int64),
            "identity": tfds.features.Sequence(tfds.features.Text()),
            "images": _pictures(),
            "masks": _pictures(),
            **{name: _array((None, *row), np.float32) for name, (_, row) in LABELS.items()},
        }
    )


def swap_to_example(group: SwapGroup) -> dict[str, Any]:
    """The values of a group by the names of `swap_features`; leading axes are joined."""
    example: dict[str, Any] = {
        "group_id": group.group_id,
        "size": group.size,
        "counts": np.array(group.counts(), np.int64),
        "identity": list(group.identity),
        "images": group.images,
        "masks": group.masks or [],
    }
    for name, (_, row) in LABELS.items():
        value = getattr(group, name)
        rows = np.zeros((0, *row), np.float32)
        example[name] = rows if value is None else value.reshape(-1, *row)
    return example


def swap_from_example(example: Mapping[str, Any]) -> SwapGroup:
    """The group of a decoded record."""
    counts = dict(zip("ipd", (int(n) for n in example["counts"]), strict=True))
    fields: dict[str, Any] = {
        "group_id": _text(example["group_id"]),
        "size": int(example["size"]),
        "identity": tuple(_text(name) for name in example["identity"]),
        "images": list(example["images"]),
        "masks": list(example["masks"]) or None,
    }
    for name, (axes, row) in LABELS.items():
        value = example[name]
        shape = [counts[axis] for axis in axes] + list(row)
        fields[name] = value.reshape(shape) if len(value) else None
    return SwapGroup(**fields)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
