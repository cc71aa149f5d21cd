"""The motion of a video on a portrait: D(V_s, z_id_s, z_pose_d, z_dyn_d) (VASA-1 3.1)."""

from pathlib import Path

import vasa_jax
from vasa_jax.inference.driving import driving_motion, head_pose, relative_motion
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.portrait import Portrait
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Picture
from vasa_jax.inference.video_file import write_video
from vasa_jax.media.soundtrack import NoSoundError, Soundtrack
from vasa_jax.media.video import probe
from vasa_jax.typing import FPS


def track_of(driving: Path, report: Reporter) -> Path | None:
    """The file whose soundtrack the video gets: `driving`, or None if it has no usable one.

    A note is given for an unusable track. Raises UserError for a file that is no video.
    """
    if not probe(driving).has_audio:
        return None
    try:
        Soundtrack(driving).close()
    except NoSoundError as error:
        report.note(f"{error}. The video will be silent")
        return None
    return driving


def reenact(
    portrait: Portrait,
    driving: Path,
    sound: Path | None,
    output: Path,
    picture: Picture,
    pipeline: Pipeline,
    report: Reporter,
    relative: bool = False,
) -> int:
    """Drive `portrait` by the video `driving`, with the soundtrack of `sound`.

    Head pose and position are the driver's. relative: their changes since the video's first frame,
    starting from the portrait's own (`relative_motion`). Returns the number of frames.
    """
    pipeline.compile(report)
    with report.stage("encode"):
        source = pipeline.encode(portrait.crop.image)
    with report.stage("drive"):
        motion = driving_motion(driving, pipeline, report=report)
        if relative:
            motion = relative_motion(motion, head_pose(source))
    details = {
        "tool": "vasa-jax reenact",
        "version": vasa_jax.__version__,
        "config": pipeline.config.name,
        "weights": "trained" if pipeline.trained else "untrained",
        "driving": driving.name,
        "relative": relative,
    }
    frames = pipeline.decode(source, motion)
    seconds = len(motion) / FPS
    return write_video(output, frames, portrait, picture, seconds, sound, details, report)
