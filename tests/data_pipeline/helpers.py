"""Small clips and groups of swaps for tests: pictures whose content tells where they are from."""

import cv2
import numpy as np

from vasa_jax.data_pipeline.clip import LANDMARK_UNIT, Clip
from vasa_jax.data_pipeline.loading.correspondence import encode_places
from vasa_jax.data_pipeline.swaps import SwapGroup, write_group
from vasa_jax.typing import ARKIT, EMOTIONS


def picture(size, *numbers):
    """A smooth picture, different for every tuple of numbers."""
    rng = np.random.default_rng(numbers)
    small = rng.integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def jpeg(image):
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def grey(size, level):
    return png(np.full((size, size), level, np.uint8))


def make_clip(number, identity, frames=None, size=32, labels=True, masks=True):
    """Labels grow with the frame, so that a pair of frames tells them apart."""
    rng = np.random.default_rng((7, number))
    t = frames or 5 + number
    clip = Clip(
        clip_id=f"{identity}/video/{number:05d}",
        identity=identity,
        size=size,
        frames=[jpeg(picture(size, number, k)) for k in range(t)],
        audio=rng.integers(-3000, 3000, t * 640).astype(np.int16),
    )
    if not labels:
        return clip
    grid = np.linspace(0.2, 0.8, t, dtype=np.float32)
    points = np.array([[0.4, 0.4], [0.6, 0.42], [0.5, 0.5], [0.45, 0.6], [0.55, 0.62]], np.float32)
    draw = lambda *shape: rng.uniform(-0.3, 0.3, shape).astype(np.float32)  # noqa: E731
    return clip._replace(
        masks=[grey(size, k * 9 % 256) for k in range(t)] if masks else None,
        rotation=draw(t, 3) + grid[:, None],
        translation=draw(t, 3) * np.array([1, 1, 0], np.float32),
        log_scale=draw(t, 1),
        gaze=draw(t, 2),
        main_gaze=draw(2),
        distance=np.float32(1.0 + number / 10),
        emotion=(np.arange(len(EMOTIONS)) / 28).astype(np.float32),
        points=points + draw(t, 1, 2) * np.float32(0.1),
        landmarks=rng.integers(0, LANDMARK_UNIT, (t, 7, 2)).astype(np.int16),
        arkit=np.abs(draw(t, len(ARKIT))),
        phonemes=np.arange(t, dtype=np.int16) - 1,
        quality=np.float32(0.5),
    )


def seen_places(side, *numbers):
    """Places of a flat head that fills the middle and lies elsewhere for every tuple of numbers."""
    rng = np.random.default_rng(numbers)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    shift = rng.integers(-side // 8, side // 8 + 1, 2) / side
    places = np.stack([2 * (x - shift[0]), 2 * (y - shift[1]), 0 * x], -1)
    there = np.abs(places[..., :2] - 1).max(-1) < 0.5
    return np.concatenate([places, there[..., None]], -1)


def make_group(number, i=2, p=3, d=2, size=32, labels=True, places=0):
    rng = np.random.default_rng((8, number))
    draw = lambda *shape: rng.uniform(-0.3, 0.3, shape).astype(np.float32)  # noqa: E731
    images = [jpeg(picture(size, number, *place)) for place in np.ndindex(i, p, d)]
    return SwapGroup(
        group_id=f"group{number}",
        size=size,
        identity=tuple(f"head{number}-{k}" for k in range(i)),
        images=images,
        rotation=draw(i, p, 3),
        translation=draw(i, p, 3),
        log_scale=draw(i, p, 1),
        points=draw(i, p, d, 5, 2) + np.float32(0.5) if labels else None,
        arkit=np.abs(draw(d, len(ARKIT))) if labels else None,
        gaze=draw(p, d, 2) if labels else None,
        masks=[grey(size, k) for k in range(i * p * d)] if labels else None,
        places=[encode_places(seen_places(places, number, *place)) for place in np.ndindex(i, p, d)]
        if places
        else None,
    )


def with_jaw(group, *amounts):
    """The group with expressions that differ in how far the jaw is open, and in nothing else."""
    arkit = np.zeros((len(amounts), len(ARKIT)), np.float32)
    arkit[:, ARKIT.index("jawOpen")] = amounts
    return group._replace(arkit=arkit)


def write_groups(folder, count, **how):
    """`count` files 0.npz … of `make_group` in a folder that exists."""
    for number in range(count):
        write_group(folder / f"{number}.npz", make_group(number, **how))
