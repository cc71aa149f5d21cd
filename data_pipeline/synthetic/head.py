"""The synthetic talking head: a person and a movement in, a picture and its exact labels out."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.identity import Identity
from vasa_jax.data_pipeline.synthetic.track import MotionTrack
from vasa_jax.typing import Float, UInt8


class Rendered(NamedTuple):
    """One picture and what is true of it, in the conventions of `vasa_jax.data_pipeline.clip.Clip`.

    image: sRGB. mask: 255 where the person is, grey at edges. gaze: the line of sight as drawn:
    as asked for, unless the eyes would have to turn further in the head than eyes can.
    landmarks: shares of width and height, in the order of `labels.LANDMARKS`.
    """

    image: UInt8[np.ndarray, "s s 3"]
    mask: UInt8[np.ndarray, "s s"]
    rotation: Float[np.ndarray, "3"]
    translation: Float[np.ndarray, "3"]
    log_scale: Float[np.ndarray, "1"]
    points: Float[np.ndarray, "5 2"]
    landmarks: Float[np.ndarray, "p 2"]
    gaze: Float[np.ndarray, "2"]


class HeadRenderer:
    """Draws one person at a time at size x size pixels; a context manager over one EGL context.

    with HeadRenderer(256) as renderer:
        renderer.load(sample_identity(7))
        rendered = renderer.render(arkit, rotation, offset, gaze)

    A picture is a function of the identity and of `render`'s arguments alone: no state is left
    from earlier pictures, and the same machine gives the same bytes. One process, one renderer.
    assets: as in `sample_identity`, which must have got the same folder.
    Raises UserError when no EGL context can be made, or the head model cannot be had.
    """

    def __init__(self, size: int, supersample: int = 2, assets: Path | None = None):
        raise NotImplementedError

    def __enter__(self) -> "HeadRenderer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the context back."""

    def load(self, identity: Identity) -> None:
        """Makes `identity` the person to draw (a second or so: textures are painted)."""

    def render(
        self,
        arkit: Float[np.ndarray, "52"],
        rotation: Float[np.ndarray, "3"],
        offset: Float[np.ndarray, "3"],
        gaze: Float[np.ndarray, "2"],
    ) -> Rendered:
        """One picture of the loaded person; the arguments are one row of a `MotionTrack`."""
        raise NotImplementedError


def render_track(
    renderer: HeadRenderer, identity: Identity, track: MotionTrack
) -> tuple[UInt8[np.ndarray, "t s s 3"], dict[str, np.ndarray]]:
    """Every frame of a track, and the labels by `Clip`'s field names, ready for it.

    The labels: rotation, translation, log_scale, gaze, points, arkit (float32, t rows), landmarks,
    phonemes (int16), main_gaze, distance, emotion (of the clip), and masks: (t, s, s) uint8, yet to
    be encoded. Deterministic; loads the identity.
    """
    raise NotImplementedError
