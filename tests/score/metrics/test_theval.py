"""THEval's figures against an independent rewrite of their published definitions."""

from itertools import combinations

import numpy as np
import pytest

from tests.score.helpers import make_track
from vasa_jax.score.metrics import theval
from vasa_jax.score.types import NotMeasured, Tools

LIPS = (
    (61, 146), (146, 91), (91, 181), (181, 84), (84, 17), (17, 314), (314, 405), (405, 321),
    (321, 375), (375, 291), (61, 185), (185, 40), (40, 39), (39, 37), (37, 0), (0, 267),
    (267, 269), (269, 270), (270, 409), (409, 291), (78, 95), (95, 88), (88, 178), (178, 87),
    (87, 14), (14, 317), (317, 402), (402, 318), (318, 324), (324, 308), (78, 191), (191, 80),
    (80, 81), (81, 82), (82, 13), (13, 312), (312, 311), (311, 310), (310, 415), (415, 308),
)  # fmt: skip
BROWS = {
    "left": ((276, 283), (283, 282), (282, 295), (295, 285), (300, 293), (293, 334), (334, 296),
             (296, 336)),
    "right": ((46, 53), (53, 52), (52, 65), (65, 55), (70, 63), (63, 105), (105, 66), (66, 107)),
}  # fmt: skip
EYES = {
    "left": ((263, 249), (249, 390), (390, 373), (373, 374), (374, 380), (380, 381), (381, 382),
             (382, 362), (263, 466), (466, 388), (388, 387), (387, 386), (386, 385), (385, 384),
             (384, 398), (398, 362)),
    "right": ((33, 7), (7, 163), (163, 144), (144, 145), (145, 153), (153, 154), (154, 155),
              (155, 133), (33, 246), (246, 161), (161, 160), (160, 159), (159, 158), (158, 157),
              (157, 173), (173, 133)),
}  # fmt: skip
FPS = 25


def points(edges):
    return sorted({i for edge in edges for i in edge})


@pytest.fixture
def track(rng):
    track = make_track(60)
    noise = rng.normal(scale=0.5, size=track.landmarks.shape).astype(np.float32)
    return track._replace(landmarks=track.landmarks + noise)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def normalised(track):
    return track.landmarks[..., :2].astype(float) / track.size


def test_lip_dynamics(track, monkeypatch):
    assert sorted(theval.LIPS) == points(LIPS)
    rows = []
    for frame in normalised(track):
        at = [frame[i] * 256 for i in points(LIPS)]
        rows.append([np.linalg.norm(a - b) for a, b in combinations(at, 2)])
    expected = np.mean(np.std(np.array(rows), axis=0))
    square = theval.in_square(track.landmarks, track.size)
    assert theval.lip_dynamics(square) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(theval, "_BLOCK", 7)
    assert theval.lip_dynamics(square) == pytest.approx(expected, rel=1e-5)


def test_eyebrow_dynamics(track):
    for side, brow, eye in (
        ("left", theval.LEFT_BROW, theval.LEFT_EYE),
        ("right", theval.RIGHT_BROW, theval.RIGHT_EYE),
    ):
        assert (sorted(brow), sorted(eye)) == (points(BROWS[side]), points(EYES[side]))
    changes, before = [], None
    for frame in track.landmarks[..., :2].astype(float):
        centre = {
            (kind, side): frame[points(of[side])].mean(0)
            for kind, of in (("brow", BROWS), ("eye", EYES))
            for side in ("left", "right")
        }
        scale = np.linalg.norm(centre["eye", "left"] - centre["eye", "right"])
        now = [
            np.linalg.norm(centre["brow", s] - centre["eye", s]) / scale for s in ("left", "right")
        ]
        if before is not None:
            changes += [abs(a - b) for a, b in zip(now, before, strict=True)]
        before = now
    assert theval.eyebrow_dynamics(track.landmarks) == pytest.approx(np.mean(changes), rel=1e-6)


SPEECH = [(0.4, 1.0), (1.2, 1.5)]


def frames_of(speech, count):
    found = set()
    for start, end in speech:
        found.update(range(int(start * FPS), min(int(end * FPS) + 1, count)))
    return found


def test_silent_lip_stability(track):
    count = track.frames
    silent = sorted(set(range(count)) - frames_of(SPEECH, count))
    runs = np.split(silent, np.flatnonzero(np.diff(silent) != 1) + 1)
    kept = [f for run in runs if len(run) >= 0.3 * FPS for f in run]
    assert 0 < len(kept) < len(silent)  # the pause of five frames is too short
    gaps = []
    for frame in normalised(track)[kept]:
        eyes = np.linalg.norm((frame[33] - frame[263]) * 256)
        upper, lower = [191, 80, 81, 82, 13, 312, 311, 310], [95, 88, 178, 87, 14, 317, 402, 318]
        heights = [
            abs(frame[u, 1] - frame[d, 1]) * 256 / eyes for u, d in zip(upper, lower, strict=True)
        ]
        gaps.append(np.mean(heights))
    expected = np.median(np.abs(np.array(gaps) - np.mean(gaps)))
    square = theval.in_square(track.landmarks, track.size)
    assert theval.silent_lip_stability(square, SPEECH) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(theval.silent_lip_stability(square, [(0.0, 3.0)]))


def test_lip_sync(track, rng):
    waveform = rng.normal(size=track.frames * 640) * np.linspace(0, 1, track.frames * 640)
    padded = np.pad(waveform, 400)
    rms = np.array(
        [np.sqrt(np.mean(padded[i : i + 800] ** 2)) for i in range(0, len(waveform) + 1, 800)]
    )
    loud = np.interp(np.arange(track.frames) / FPS, np.arange(len(rms)) * 0.05, rms)
    gaps = []
    for frame in normalised(track):
        upper = np.mean([frame[j, 1] for j in (191, 80, 81, 82, 13, 312, 311, 310)])
        lower = np.mean([frame[j, 1] for j in (95, 88, 178, 87, 14, 317, 402, 318)])
        eyes = np.mean([frame[j, 0] for j in (362, 263)]) - np.mean(
            [frame[j, 0] for j in (33, 133)]
        )
        gaps.append(abs(upper - lower) / abs(eyes))
    used = sorted(frames_of(SPEECH, track.frames))
    o, v = np.array(gaps)[used], loud[used]
    o, v = ((x - x.min()) / (x.max() - x.min() + 1e-8) for x in (o, v))
    square = theval.in_square(track.landmarks, track.size)
    found = theval.lip_sync(square, waveform.astype(np.float32), SPEECH)
    assert found == pytest.approx(np.mean(np.abs(o - v)), rel=1e-4)
    assert np.isnan(theval.lip_sync(square, waveform.astype(np.float32), [(0.0, 0.1)]))


def test_frames_without_a_face_are_stepped_over():
    seen = np.ones(60, bool)
    seen[20:25] = False
    whole, holed = make_track(60), make_track(60, found=seen)
    tools = Tools({"vad": lambda: lambda waveform: SPEECH})
    for measure in (theval.motion, theval.sound):
        found = measure(holed, None, tools)
        assert all(np.isfinite(v) for v in found.values())
        assert found == pytest.approx(measure(whole, None, tools), rel=0.3)


def test_without_a_network_of_speech_only_its_figures_are_missing():
    track = make_track()
    with pytest.raises(NotMeasured, match="no weights"):
        theval.sound(track, None, Tools({"vad": "no weights"}))
    assert theval.motion(track, None, Tools({}))
