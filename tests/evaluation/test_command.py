"""`vasa-jax evaluate`: data found and read, networks that look, a whole run on the debug model."""

import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from tests import needs
from tests.assets import PORTRAIT
from tests.data_pipeline.made import make_clip, write_groups
from tests.evaluation.helpers import differ
from vasa_jax import cli
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.write import write_dataset, write_swaps
from vasa_jax.data_pipeline.phonemes import INDEX
from vasa_jax.data_pipeline.prepare.labels import FaceTrack, Labellers
from vasa_jax.data_pipeline.prepare.labels.points import MeshPoints
from vasa_jax.errors import UserError
from vasa_jax.evaluation import face_analysis, held_out
from vasa_jax.evaluation.model_calls import to_size
from vasa_jax.evaluation.types import FaceMeasurements, MetricNetworks
from vasa_jax.perception.face_detector import detect_faces
from vasa_jax.typing import ARKIT

needs_faces = needs.weights("face-landmarker")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips and swaps as files: three people, one of them twice."""
    place = tmp_path_factory.mktemp("data")
    for number, who in enumerate(("anna", "anna", "ben", "cleo")):
        path = place / "clips" / who / f"{number}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, make_clip(number, who, frames=25))
    (place / "swaps").mkdir()
    write_groups(place / "swaps", 2)
    return place


@pytest.fixture(scope="module")
def dataset(folder, tmp_path_factory):
    """The same as TFDS datasets, the first half for training, the second for the test."""
    place = tmp_path_factory.mktemp("tfds")
    for kind, write in (("clips", write_dataset), ("swaps", write_swaps)):
        files = sorted((folder / kind).rglob("*.npz"))
        half = len(files) // 2
        splits = {"train": files[:half], "test": files[half:]}
        name = ("synthetic_heads",) if kind == "clips" else ()
        write(place, *name, splits, "made up")
    return place


def test_people_take_turns():
    assert held_out.choose(("a", "a", "b", "a", "c", "b"), 9) == [0, 2, 4, 1, 5, 3]
    assert held_out.choose(("a", "a", "b", "a", "c", "b"), 2) == [0, 2]
    assert held_out.choose((), 2) == []


def test_files_are_found_and_read(folder):
    found = held_out.find_records(folder, "clips", None)
    assert found.people == ("anna", "anna", "ben", "cleo")
    truth = make_clip(2, "ben", frames=25)
    clip = held_out.to_eval_clip(found.read(2))
    assert (clip.identity, clip.num_frames) == ("ben", 25)
    np.testing.assert_array_equal(clip.rotation, truth.rotation)
    np.testing.assert_array_equal(clip.log_scale, truth.log_scale[:, 0])
    np.testing.assert_array_equal(np.round(clip.waveform * 32768), truth.audio)
    pictures = clip.pictures([0, 24])
    assert pictures.shape == (2, 32, 32, 3)
    stored = np.asarray(Image.open(io.BytesIO(truth.frames[24])))
    assert np.abs(pictures[1].astype(int) - stored).max() <= 2  # two JPEG decoders
    assert clip.phonemes[0] == ""
    assert INDEX[clip.phonemes[5]] == 4
    groups = list(held_out.read_swaps(held_out.find_records(folder, "swaps", None), 5))
    assert [g.images.shape for g in groups] == [(2, 3, 2, 32, 32, 3)] * 2
    assert groups[1].identities == ("head1-0", "head1-1")


def test_the_held_out_split_of_a_dataset_is_read(dataset):
    found = held_out.find_records(dataset, "clips", None)
    assert found.people == ("ben", "cleo")
    assert held_out.to_eval_clip(found.read(0)).identity == "ben"
    assert held_out.find_records(dataset, "clips", "train").people == ("anna", "anna")
    swaps = held_out.find_records(dataset, "swaps", None)
    assert next(held_out.read_swaps(swaps, 1)).identities == ("head1-0", "head1-1")
    with pytest.raises(UserError, match="no split 'dev'"):
        held_out.find_records(dataset, "clips", "dev")


def test_wrong_folders_are_named(folder, tmp_path):
    assert held_out.find_records(tmp_path, "clips", None) is None
    with pytest.raises(UserError, match="no such folder"):
        held_out.find_records(tmp_path / "none", "clips", None)
    with pytest.raises(UserError, match="leave --split out"):
        held_out.find_records(folder, "clips", "test")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "bad.npz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"bad\.npz"):
        held_out.find_records(tmp_path, "clips", None)
    files = {"train": sorted((folder / "clips").rglob("*.npz"))}
    write_dataset(tmp_path / "own", "synthetic_heads", files, "made up")
    with pytest.raises(UserError, match="no held-out records"):
        held_out.find_records(tmp_path / "own", "clips", None)


def test_lip_aperture_is_free_of_size_and_turn(rng):
    marks = rng.normal(size=(4, 478, 3))
    marks[:, 13], marks[:, 14] = (0, 0, 0), (0, 3, 0)
    marks[:, 33], marks[:, 263] = (-5, 0, 0), (5, 0, 0)
    np.testing.assert_allclose(face_analysis.lip_aperture(marks), 0.3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(face_analysis.lip_aperture(7 * marks @ turn), 0.3)


def test_batches_of_one_shape_give_every_row(rng):
    shapes = []

    def double(x, y):
        shapes.append(x.shape)
        return 2 * x + y

    x, y = rng.normal(size=(2, 11, 3))
    np.testing.assert_allclose(face_analysis.in_batches(double, (x, y), 4), 2 * x + y)
    assert shapes == [(4, 3)] * 3


class FewLabels(Labellers):
    """Labels that state where a face is: its place in the batch that was given."""

    def load(self, kinds=()):
        self.given = []

    def label(self, frames, landmarks):
        self.given.append(frames)
        row = np.arange(len(frames), dtype=np.float32)

        def wide(*shape):
            return np.broadcast_to(row.reshape(-1, *[1] * len(shape)), (len(row), *shape))

        return {
            "rotation": wide(3),
            "log_scale": wide(1),
            "gaze": wide(2),
            "points": wide(5, 2),
            "arkit": wide(len(ARKIT)),
            "emotion": np.ones(8) / 8,
        }


@needs_faces
def test_reader_leaves_pictures_without_a_face_out(rng):
    face = to_size(np.asarray(Image.open(PORTRAIT).convert("RGB"))[None], 256)[0]
    blank = np.full_like(face, 90)
    reader = face_analysis.FaceAnalyzer(FewLabels())
    read = reader(np.stack([face, blank, face]), False)
    assert read.found().tolist() == [True, False, True]
    assert read.log_scale[2] == 1
    assert np.isnan(read.mouth[1])
    assert np.isnan(read.points[1]).all()
    np.testing.assert_allclose(read.mouth[0], read.mouth[2], atol=0.01)
    assert 0 <= read.mouth[0] < 0.5
    nothing = reader(blank[None], True)
    assert not nothing.found().any()
    assert np.isnan(nothing.emotion).all()


@needs.weights("vgg16-lpips")
def test_lpips_instrument_knows_equal_from_different(rng):
    a = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = face_analysis.lpips_distance(batch=2)(a, np.stack([a[0], 255 - a[1], a[2]]))
    np.testing.assert_allclose(found[[0, 2]], 0, atol=1e-6)
    assert found[1] > 0.1


@needs_faces
@needs.weights("dlib-face-recognition")
def test_identity_instrument_knows_a_face_again():
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    photo = cv2.resize(photo[: min(photo.shape[:2]), : min(photo.shape[:2])], (256, 256))
    points = MeshPoints()
    tilted = cv2.warpAffine(photo, cv2.getRotationMatrix2D((128, 128), 6, 0.9), (256, 256))
    frames = np.stack([photo, tilted])
    marks = np.stack([detect_faces(f)[0].landmarks for f in frames]).astype(np.float32)
    five = points(FaceTrack(frames, marks))[0].astype(np.float32)
    one, same = face_analysis.identity_vectors(256)(frames, five)
    assert np.linalg.norm(one - same) < 0.3
    other = frames[:, :, ::-1][:1] // 2 + frames[1:] // 2  # two half-seen faces are nobody
    assert np.linalg.norm(face_analysis.identity_vectors(256)(other, five[:1])[0] - one) > 0.3


def from_pixels(frames, video):
    """Finite readings of any picture, so that a run without faces goes all the way."""
    means = frames.reshape(len(frames), -1, 3).mean(1) / 255
    return FaceMeasurements(
        rotation=means - 0.5,
        log_scale=means[:, 0] - 0.5,
        gaze=means[:, :2] - 0.5,
        mouth=means[:, 1],
        points=np.broadcast_to(np.full((5, 2), 0.5), (len(frames), 5, 2)),
        expression=means,
        emotion=np.repeat(means.mean(), 8),
    )


def vectors(frames, points):
    return frames.reshape(len(frames), -1, 3).mean(1) / 255


@pytest.fixture
def pixels(monkeypatch):
    def make(size, labellers, fvd):
        features = (lambda v: v.reshape(len(v), 25, -1).mean(-1)) if fvd else None
        return MetricNetworks(from_pixels, differ, vectors, features)

    monkeypatch.setattr("vasa_jax.evaluation.face_analysis.load_metric_networks", make)


QUICK = [
    "--clips=2",
    "--groups=1",
    "--frames=2",
    "--seconds=2",
    "--seeds=2",
    "--sweep-clips=1",
    "--steps=2",
    "--fvd",
    "--quiet",
]


def test_the_debug_model_is_measured_from_end_to_end(
    folder, tmp_path, pixels, capsys, debug_pipeline, monkeypatch
):
    # Loaded and compiled once for all tests; the next test loads its own.
    monkeypatch.setattr("vasa_jax.commands.generate.load_pipeline", lambda *_, **__: debug_pipeline)
    out = tmp_path / "report"
    done = cli.main(["evaluate", "--config=debug", f"--data={folder}", "-o", str(out), *QUICK])
    assert done == 0, capsys.readouterr().err
    content = json.loads((out / "report.json").read_text())
    assert content["counts"] == {"clips": 2, "people": 2, "swap groups": 1}
    assert (content["config"], content["weights"]) == ("debug", "untrained")
    figures = content["figures"]
    for prefix in ("self", "swap", "pose_only", "dyn_only"):
        assert 3 < figures[f"{prefix}.psnr"]["mean"] < 60
        assert -1 <= figures[f"{prefix}.ssim"]["mean"] <= 1
    for key in (
        "cross.pose_error",
        "cross.pose_error_own",
        "cross.gaze_error",
        "self.mouth_error",
        "speech.delta_pose_geodesic",
        "speech.diversity_pose",
        "speech.diversity_dyn",
        "speech.jump_ratio",
        "truth.delta_pose_l1",
        "speech.gaze_error",
    ):
        assert figures[key]["mean"] >= 0, key
    assert -1 <= figures["speech.mouth_correlation"]["mean"] <= 1
    assert figures["speech.face_found"]["count"] == 2 * 2 * 25
    assert -10 <= content["offset"]["frames"] <= 10
    assert len(content["offset"]["correlation by lag"]) == 21
    assert [len(s["answers"]) for s in content["sweeps"].values()] == [5, 5, 5, 3, 3, 3, 3]
    assert content["fvd"]["by_divisor"]["n-1"] > 0
    assert content["clips from"] == "4 files in clips"
    assert str(tmp_path) not in (out / "report.json").read_text()
    assert all((out / name).is_file() for name in content["sheets"])
    assert len(content["aims"]) == 14


def test_a_dataset_without_swaps_is_enough(folder, tmp_path, pixels, capsys):
    place = tmp_path / "data"
    (place / "clips").mkdir(parents=True)
    write_clip(place / "clips" / "0.npz", make_clip(0, "anna", frames=9, labels=False))
    out = tmp_path / "report"
    args = ["evaluate", "--config=debug", f"--data={place}", "-o", str(out), *QUICK]
    assert cli.main([*args[:-1], "--log-json", "--seeds=0", "--sweep-clips=0"]) == 0
    assert "no exact swaps" in capsys.readouterr().out
    content = json.loads((out / "report.json").read_text())
    assert content["counts"] == {"clips": 1, "people": 1, "swap groups": 0}
    assert not any(k.startswith(("cross.", "swap.", "speech.")) for k in content["figures"])
    assert {a["met"] for a in content["aims"] if "LPIPS" not in a["text"]} >= {None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames=0"], "--frames 0 must be at least 1"),
        (["--seconds=nan"], "--seconds nan must be more than 0"),
        (["--sweep-clips=-1"], "--sweep-clips -1 must be at least 0"),
        (["--labeller=nose=a:b"], "no labeller 'nose'"),
        (["--config=demmo"], "unknown config 'demmo'"),
        (["--data=nowhere"], "no such folder"),
        (["--split=test"], "leave --split out"),
        (["--clips=0", "--groups=0"], "nothing"),
    ],
)
def test_mistakes_are_told_before_the_model_is_loaded(folder, tmp_path, capsys, words, message):
    out = tmp_path / "report"
    base = ["evaluate", "--config=debug", f"--data={folder}", "-o", str(out)]
    assert cli.main([*base, *words]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_folder_and_a_full_output_are_told(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    base = ["evaluate", "--config=debug"]
    assert cli.main([*base, f"--data={tmp_path / 'empty'}", "-o", str(tmp_path / "r")]) == 2
    assert "neither clips nor swaps" in capsys.readouterr().err
    assert cli.main([*base, f"--data={folder}", "-o", str(folder)]) == 2
    assert "would overwrite the data" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert cli.main([*base, f"--data={folder}", "-o", str(tmp_path / "full")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
