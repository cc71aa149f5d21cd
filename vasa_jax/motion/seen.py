"""Which conditions a motion model can have learnt: those that its clips were labelled with.

`--emotion contempt` moves nothing in a model whose labels never held contempt. So what the labels
hold goes from the clips into the bundle. (A distance is also set exactly, after sampling.)
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.motion.clips import ClipControls
from vasa_jax.typing import EMOTIONS

LEAST = 0.1
"""An emotion that no clip holds a larger share of was not learnt."""


class SeenLabels(NamedTuple):
    """What the training clips of a motion model were labelled with.

    gaze: whether any clip was. emotion: the largest share of each of `EMOTIONS` in any clip, 0
    where no clip was labelled.
    """

    gaze: bool = False
    emotion: tuple[float, ...] = (0.0,) * len(EMOTIONS)

    def add(self, clip: Mapping[str, Any]) -> "SeenLabels":
        """With the labels of one more clip, as `training.motion_clips.read_clip` gives it."""
        shares = np.asarray(clip.get("emotion", ()), np.float64).reshape(-1)
        if shares.shape != (len(EMOTIONS),):
            shares = np.zeros(len(EMOTIONS))
        return SeenLabels(
            self.gaze or "gaze" in clip,
            tuple(float(v) for v in np.maximum(self.emotion, shares)),
        )

    def lacking(self) -> list[str]:
        """The emotions that were not learnt."""
        return [n for n, share in zip(EMOTIONS, self.emotion, strict=True) if share < LEAST]

    def to_json(self) -> dict[str, Any]:
        emotion = {n: round(v, 3) for n, v in zip(EMOTIONS, self.emotion, strict=True)}
        return self._asdict() | {"emotion": emotion}


def from_json(content: Any) -> SeenLabels | None:
    """The inverse of `SeenLabels.to_json`; None for anything else."""
    try:
        shares = tuple(float(content["emotion"][name]) for name in EMOTIONS)
        return SeenLabels(bool(content["gaze"]), shares)
    except (LookupError, TypeError, ValueError):
        return None


def unanswered(seen: SeenLabels | None, wanted: Iterable[ClipControls]) -> list[str]:
    """One line on every condition that is asked for and that the model never learnt.

    seen: None (an older bundle) says nothing, so there are no lines.
    """
    if seen is None:
        return []
    wanted, lines = list(wanted), []
    if not seen.gaze and any(controls.gaze is not None for controls in wanted):
        lines.append(
            "note: no clip that this motion model learnt from has a label of gaze, so --gaze moves "
            "nothing"
        )
    asked = np.zeros(len(EMOTIONS))
    for controls in wanted:
        if controls.emotion is not None:
            asked = np.maximum(asked, np.atleast_2d(controls.emotion).max(0))
    for name in seen.lacking():
        if name != "neutral" and asked[EMOTIONS.index(name)] > 0:
            share = seen.emotion[EMOTIONS.index(name)]
            lines.append(
                f"note: no clip that this motion model learnt from holds {name} (largest share "
                f"{share:.2f}), so --emotion {name} has no meaning to it"
            )
    return lines
