"""Tracks: their labels against the renderer's own, their files, restarts, held-out voices."""

import json

import numpy as np
import pytest

from recipes.demo.data import tracks
from tests import needs
from tests.data_pipeline.synthetic.helpers import chatter
from vasa_jax.data_pipeline.main_gaze import main_gaze
from vasa_jax.data_pipeline.synthetic import clipmaker
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer, Rendered, render_track
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import ClipJob, Plan, clip_jobs
from vasa_jax.data_pipeline.synthetic.speech import parts_of
from vasa_jax.data_pipeline.synthetic.utterance import HELD_OUT
from vasa_jax.errors import UserError

PLAN = Plan(seed=3, identities=12, minutes=12 * 2 / 60, seconds=1.0, any_faces=True)
STANCE = tracks.Stance(np.array([0.0, -1.5, -0.9]), np.array([0.3, -0.2, 8.0]), 1.4, 1.0)


def fixed():
    speech = chatter(1.0, seed=1)
    return tracks.label(ClipJob(0, 0, "train"), PLAN, STANCE, speech, perform(5, speech))


def test_labels_are_the_renderers():
    """Everything but pictures, as `render_track` says it; eyes turned further than eyes can too."""
    needs.require_weights("anny-heads")
    needs.require_gl()
    speech = chatter(5, seed=2)
    track = perform(7, speech)
    first = list(range(0, 125, 16))
    track = track._replace(
        **{k: getattr(track, k)[first] for k in ("arkit", "offset", "phonemes")},
        rotation=track.rotation[first] * 3,
        gaze=track.gaze[first] + np.float32(0.7),
    )
    with HeadRenderer(64, supersample=1) as renderer:
        for seed in (4, 9):
            identity = sample_identity(seed)
            _, want = render_track(renderer, identity, track)
            speech = speech._replace(waveform=speech.waveform[: 8 * 640])
            got = tracks.label(
                ClipJob(0, 0, "train"), PLAN, tracks.stance_of(identity), speech, track
            )
            assert np.abs(want["gaze"] - track.gaze).max() > 0.05  # beyond the eyes' reach
            for name in (
                "rotation",
                "translation",
                "log_scale",
                "gaze",
                "main_gaze",
                "distance",
                "emotion",
                "arkit",
                "phonemes",
            ):
                np.testing.assert_allclose(getattr(got, name), want[name], atol=2e-6, err_msg=name)
            eyes = tracks.eyes_in_head(got.gaze, got.rotation)
            np.testing.assert_allclose(got.eyes, eyes, atol=1e-6)


def test_main_gaze_is_found_as_for_recorded_heads():
    """Of tracks and of drawn clips: the fullest place and not a median, which here is another."""
    speech = chatter(1.0, seed=1)
    track = perform(5, speech)
    places = np.radians([[-1.0, 0.5], [10.0, 8.0], [18.0, -6.0]])
    kind = np.digitize(np.linspace(0, 1, len(track.gaze)), [0.44, 0.72])
    track = track._replace(gaze=places[kind].astype(np.float32))
    clip = tracks.label(ClipJob(0, 0, "train"), PLAN, STANCE, speech, track)
    np.testing.assert_array_equal(clip.main_gaze, main_gaze(clip.gaze))
    assert np.abs(clip.main_gaze - np.median(clip.gaze, 0)).max() > np.radians(5)

    class Mirror(HeadRenderer):
        """Draws nothing and looks where it is told."""

        def __init__(self):
            pass

        def load(self, identity):
            pass

        def render(self, arkit, rotation, offset, gaze):
            picture, f32 = np.zeros((8, 8), np.uint8), np.float32
            return Rendered(
                image=np.stack([picture] * 3, -1),
                mask=picture,
                rotation=f32(rotation),
                translation=np.zeros(3, f32),
                log_scale=np.zeros(1, f32),
                points=np.zeros((5, 2), f32),
                landmarks=np.zeros((7, 2), f32),
                gaze=gaze,
            )

    _, labels = render_track(Mirror(), sample_identity(4), track)
    np.testing.assert_allclose(labels["main_gaze"], places[0], atol=1e-6)


def test_files(tmp_path):
    clip = fixed()
    tracks.write_track(tmp_path / "train" / "synth.npz", clip)
    back = tracks.read_track(tmp_path / "train" / "synth.npz")
    for name in ("rotation", "translation", "log_scale", "distance", "emotion", "phonemes"):
        np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
    for name in ("arkit", "gaze", "eyes"):
        np.testing.assert_allclose(getattr(back, name), getattr(clip, name), atol=5e-4)
    assert back.clip_id == clip.clip_id
    assert [f.name for f in tracks.find_tracks(tmp_path)["train"]] == ["synth.npz"]
    (tmp_path / "train" / "synth.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="not a readable track"):
        tracks.read_track(tmp_path / "train" / "synth.npz")


def test_make_tracks_goes_on(tmp_path, monkeypatch):
    """Speech without Kokoro; voices as `clipmaker.say` draws them: held out for held-out people."""
    asked = []

    def utter(kokoro, seed, voice, frames):
        asked.append(voice)
        speech = chatter(frames / 25, seed=seed[-1])
        wave = np.resize(speech.waveform, frames * 640)
        return speech._replace(waveform=wave, voice=voice)

    monkeypatch.setattr(clipmaker, "utter", utter)
    monkeypatch.setattr(clipmaker, "speaker", lambda: None)
    monkeypatch.setattr(tracks, "stance_of", lambda identity: STANCE)
    lines = []
    jobs = clip_jobs(PLAN)
    assert tracks.make_tracks(PLAN, tmp_path, lines.append) == len(jobs) == 24
    assert lines[-1].startswith("24 of 24 clips")
    gone = tracks.place_of(tmp_path, PLAN, jobs[3])
    before = gone.read_bytes()
    gone.unlink()
    assert tracks.make_tracks(PLAN, tmp_path, lines.append) == 1
    assert gone.read_bytes() == before
    clips = [tracks.read_track(tracks.place_of(tmp_path, PLAN, job)) for job in jobs]
    assert {clip.split for clip in clips} >= {"train", "test"}
    for clip in clips:
        assert (clip.voice in clipmaker.voices("f", True) + clipmaker.voices("m", True)) == (
            clip.split != "train"
        )
    mixed = PLAN._replace(mixed_voices=True)
    with pytest.raises(UserError, match="another plan"):
        tracks.make_tracks(mixed, tmp_path, lines.append)
    asked.clear()
    tracks.make_tracks(mixed, tmp_path / "mixed", lines.append)
    sums = [voice for voice in asked if "+" in voice]
    assert len(sums) > len(asked) / 3
    own = {*clipmaker.voices("f", False), *clipmaker.voices("m", False)}
    for voice in sums:
        (one, share), (other, rest) = parts_of(voice)
        assert one != other
        assert {one, other} <= own
        assert one[1] == other[1]
        assert (one[0] == "b") == (other[0] == "b")
        assert share + rest == pytest.approx(1)
    assert {v for v in asked if v in HELD_OUT}
    with pytest.raises(UserError, match="another plan"):
        tracks.make_tracks(PLAN._replace(seed=4), tmp_path, lines.append)
    assert json.loads((tmp_path / tracks.RECORD).read_text())["seed"] == 3
