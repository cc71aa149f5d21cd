"""`evaluate` says of a video what `score` says of the same one as a file."""

import numpy as np
import pytest

from tests.evaluation.helpers import ToyModel
from tests.evaluation.test_face_analysis import FewLabels
from tests.score.helpers import TOOLS, face
from vasa_jax.evaluation import face_analysis
from vasa_jax.evaluation.audio_driven import measure_audio_driven
from vasa_jax.evaluation.metric_specs import SECTIONS
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import EvalClip, Gallery, MetricNetworks, Settings
from vasa_jax.media.audio import open_audio
from vasa_jax.media.video import VideoWriter, read_video
from vasa_jax.score.in_memory import FrameScores
from vasa_jax.score.metrics import FROM_FRAMES
from vasa_jax.score.reading import ReadOptions, read_track
from vasa_jax.score.types import score_track

FRAMES, SIDE = 50, 64


class BrightnessLabels(FewLabels):
    """Head and gaze follow the landmarks, not the place in the batch."""

    def label(self, frames, landmarks):
        labels = super().label(frames, landmarks)
        level = landmarks[:, 0, 0] / 255
        labels["rotation"] = np.stack([level, level**2, -level], 1)
        labels["gaze"] = np.stack([level, 1 - level], 1)
        labels["points"] = np.full((len(frames), 5, 2), 0.5, np.float32)
        return labels


@pytest.fixture
def faces(monkeypatch):
    """Landmarks whose mouth opens with the frame's brightness."""
    base = face(np.random.default_rng(0)).astype(np.float32) / 5

    class Tracker:
        def __init__(self, every):
            pass

        def __call__(self, frame):
            marks = base.copy()
            marks[14, 1] = marks[13, 1] + frame.mean() / 40
            marks[0, 0] = frame.mean()
            return type("Seen", (), {"landmarks": marks})

    monkeypatch.setattr(face_analysis, "FaceTracker", Tracker)


def write_video(path, levels, loud):
    """A video of grey frames, with a tone of the given loudness."""
    from tests.assets import write_wav

    tone = np.sin(np.arange(FRAMES * 640) * 2 * np.pi * 300 / 16_000)
    sound = write_wav(path.with_suffix(".wav"), tone * np.repeat(loud, 640) / 400)
    frames = np.repeat(levels.astype(np.uint8), SIDE * SIDE * 3).reshape(FRAMES, SIDE, SIDE, 3)
    with VideoWriter(path, SIDE, SIDE, audio_from=sound) as video:
        video.write(frames)
    sound.unlink()
    return path


def test_evaluate_and_score_say_the_same(faces, tmp_path):
    t = np.arange(FRAMES)
    loud = 120 + 60 * np.sin(t / 4)
    real = write_video(tmp_path / "real.mp4", loud, loud)
    made = write_video(tmp_path / "made.mp4", 110 + 50 * np.sin((t - 2) / 4), loud)
    labels = BrightnessLabels()
    labels.load()

    # `score`, from the files.
    tracks = [read_track(path, labels, ReadOptions()) for path in (made, real)]
    said = score_track(FROM_FRAMES, *tracks, TOOLS).values
    of_truth = score_track(FROM_FRAMES, tracks[1], None, TOOLS).values

    # `evaluate`, with a model that makes the frames of one file, on the clip in the other.
    ours, truth = (np.stack(list(read_video(path))) for path in (made, real))

    class Model(ToyModel):
        def encode(self, portrait):
            return None

        def decode(self, source, motion):
            yield ours

    waveform = np.asarray(open_audio(real).waveform)[: FRAMES * 640]
    clip = EvalClip("c", "anna", FRAMES, lambda numbers: truth[list(numbers)], waveform)
    networks = MetricNetworks(None, scores=FrameScores(labels, TOOLS))
    samples = Samples()
    settings = Settings(seconds=FRAMES / 25, seeds=1)
    measure_audio_driven(Model(), [clip], networks, settings, samples, Gallery())

    assert len(said) > 20
    for key, value in said.items():
        assert samples.summary(f"score.{key}").mean == pytest.approx(value, rel=1e-5, abs=1e-7), key
    for key, value in of_truth.items():
        found = samples.summary(f"score_truth.{key}").mean
        assert found == pytest.approx(value, rel=1e-5, abs=1e-7), key
    # The same formula under evaluate's own names.
    assert samples.summary("speech.mouth_correlation").mean == said["mouth_correlation"]
    assert samples.summary("speech.offset").mean == said["mouth_offset"] == 2
    known = {key for specs in SECTIONS.values() for key in specs}
    assert {name for name in samples.names() if name.startswith("score")} <= known
