"""`train pose` and what comes of it: an encoder that reads metric poses, alone and in stage 1."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.data_pipeline.helpers import jpeg, make_clip
from vasa_jax import cli
from vasa_jax.bundle import abstract_params
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.loading.loaders import HeadLoader
from vasa_jax.data_pipeline.loading.pose_examples import PoseImageOptions
from vasa_jax.errors import UserError
from vasa_jax.training.checkpoint import Checkpoints
from vasa_jax.training.export_bundle import pose_parameters
from vasa_jax.training.loop import Result
from vasa_jax.training.pose_trainer import pose_trainer
from vasa_jax.training.program import abstract_state
from vasa_jax.training.run import check_start, export, make_trainer, run

SIZE = 64
CONFIG = get_config("debug")


def disc(pose, size=SIZE):
    """A bright disc with a bar, where and as large as a head of this pose, turned by its roll."""
    (x, y), scale, roll = pose[3:5], np.exp(pose[6]), pose[2]
    image = np.full((size, size, 3), 60, np.uint8)
    centre = tuple(int(v) for v in np.round((np.array([x, y]) + 1) * (size - 1) / 2))
    radius = 0.22 * size * scale
    cv2.circle(image, centre, round(radius), (200, 160, 140), -1, cv2.LINE_AA)
    tip = np.round(centre + radius * np.array([-np.sin(roll), np.cos(roll)])).astype(int)
    cv2.line(image, centre, tuple(int(v) for v in tip), (20, 20, 20), 3, cv2.LINE_AA)
    return image


def clips(folder, poses, size=SIZE):
    """A dataset whose clips show discs of these poses, (clips, frames, 7)."""
    files = [folder / f"{n}.npz" for n in range(len(poses))]
    for number, (file, rows) in enumerate(zip(files, poses, strict=True)):
        made = make_clip(number, f"p{number}", len(rows), size)
        rows = rows.astype(np.float32)
        made = made._replace(
            frames=[jpeg(disc(row, size)) for row in rows],
            rotation=rows[:, :3],
            translation=rows[:, 3:6],
            log_scale=rows[:, 6:],
        )
        write_clip(file, made)
    write_dataset(folder, "video_folder", {"train": files})
    return folder


def draws(count, frames, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(count, frames, 7)) * [0, 0, 0.25, 0.15, 0.15, 0, 0.15]
    return found.clip(-0.4, 0.4)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return clips(tmp_path_factory.mktemp("labelled"), draws(6, 8))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A dataset without any labels."""
    out = tmp_path_factory.mktemp("bare")
    files = [out / f"{n}.npz" for n in range(5)]
    for number, file in enumerate(files):
        write_clip(file, make_clip(number, f"p{number}", 5, SIZE, labels=False))
    write_dataset(out, "video_folder", {"train": files})
    return out


def command(*words):
    return cli.main(["train", *(str(w) for w in words)])


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory):
    """A run of `train pose`, as a user starts it."""
    workdir = tmp_path_factory.mktemp("pose")
    words = ("pose", "--config", "debug", "--data", labelled, "--workdir", workdir, "--workers", 0)
    settings = [
        x
        for key in ("steps=600", "save_every=300", "log_every=600", "batch=16")
        for x in ("--set", f"train_pose.{key}")
    ]
    assert command(*words, *settings, "--quiet") == 0
    return workdir


def test_the_encoder_reads_poses_in_their_units(trained):
    """Discs that it never saw: roll in radians, place in half pictures, size as a logarithm."""
    from vasa_jax.face.conv import LayerOptions
    from vasa_jax.face.motion import PoseEncoder

    poses = draws(1, 48, seed=9)[0]
    images = np.stack([disc(pose) for pose in poses]) / np.float32(255)
    encoder = PoseEncoder(CONFIG.face, LayerOptions(CONFIG.face.norm_groups))
    found = jax.jit(encoder.apply)({"params": pose_parameters(trained, CONFIG)}, images)
    vectors = np.concatenate([np.asarray(x) for x in found], 1)
    for column in (2, 3, 4, 6):
        slope = np.polyfit(poses[:, column], vectors[:, column], 1)[0]
        error = np.abs(vectors[:, column] - poses[:, column]).mean()
        assert 0.75 < slope < 1.25, (column, slope)
        assert error < 0.4 * np.abs(poses[:, column]).mean(), (column, error)


def test_frames_of_any_size_with_their_poses(labelled, tmp_path):
    loader = HeadLoader(labelled, CONFIG, workers=0, augment=PoseImageOptions(SIZE, plain=True))
    batch = next(loader)
    assert batch.image.shape == (CONFIG.train_pose.batch, SIZE, SIZE, 3)
    assert set(batch.present) == {1.0}
    vectors = np.concatenate(batch.pose, 1)
    known = draws(6, 8).reshape(-1, 7)
    for image, pose in zip(batch.image, vectors, strict=True):
        assert np.abs(known - pose).max(1).min() < 1e-6
        assert np.abs(image * 255 - disc(pose)).mean() < 4  # JPEG
    larger = clips(tmp_path, draws(4, 3), size=2 * SIZE)
    batch = next(HeadLoader(larger, CONFIG, workers=0))
    assert batch.image.shape[1] == CONFIG.face.motion_image_size
    # Turned, moved and scaled with their labels: none is one of the data's.
    known = draws(4, 3).reshape(-1, 7)
    for pose in np.concatenate(batch.pose, 1):
        assert np.abs(known - pose).max(1).min() > 1e-3


def test_frames_without_a_pose_are_flagged(tmp_path):
    files = [tmp_path / f"{n}.npz" for n in range(4)]
    for number, file in enumerate(files):
        write_clip(file, make_clip(number, f"p{number}", 4, SIZE, labels=number % 2 == 0))
    write_dataset(tmp_path, "video_folder", {"train": files})
    batch = next(HeadLoader(tmp_path, CONFIG, 8, workers=0))
    assert set(batch.present) == {0.0, 1.0}
    rows = np.concatenate(batch.pose, 1)
    assert not rows[batch.present == 0].any()
    assert rows[batch.present == 1].any(1).all()


def test_stage_one_starts_from_the_encoder(trained, tmp_path, monkeypatch):
    """What `train face --pose` hands to the loop: fresh parameters, but for the encoder's."""
    found = {}

    def begin(task, workdir, data, **rest):
        found.update(config=task.config, initial=rest["initial"])
        return Result(0, True, None)

    monkeypatch.setattr("vasa_jax.training.run.train", begin)
    ready = bare_batches(tmp_path)
    words = ("face", "--config", "debug", "--data", ready, "--workdir", tmp_path / "w")
    assert command(*words, "--pose", trained, "-q") == 0
    assert found["config"].train_face.freeze_pose
    pose = pose_parameters(trained, CONFIG)
    fresh = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), abstract_params(CONFIG)["face"])
    begun = found["initial"]({"face": fresh, "gaze": {}})
    same(begun["face"].pop("pose"), pose)
    fresh.pop("pose")
    same(begun, {"face": fresh, "gaze": {}})


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_export_knows_what_training_froze(tmp_path):
    """A run with a frozen encoder and losses of its own, exported by the plain config; no step is
    taken, for time's sake."""
    settings = ["train_face.freeze_pose=true", "face_losses.gaze.weight=1", "train_face.clip=1"]
    own = get_config("debug", settings)
    task = make_trainer(own, "face")
    draw = np.random.default_rng(0)
    state = jax.tree.map(
        lambda x: jnp.asarray(draw.normal(size=x.shape), x.dtype), abstract_state(task)
    )
    checkpoints = Checkpoints(tmp_path / "face" / "checkpoints")
    checkpoints.save(1, state, None, own, "face")
    checkpoints.close()
    found = export(CONFIG, "face", tmp_path / "face").params["face"]
    same(found, jax.tree.map(np.asarray, dict(state.ema["face"])))
    same(pose_parameters(tmp_path / "face", CONFIG), found["pose"])
    with pytest.raises(UserError, match=r"trained with face\.dyn_dim=16, this run asks for 32"):
        export(get_config("debug", ["face.dyn_dim=32"]), "face", tmp_path / "face")


def test_z_pose_must_be_tied_to_something(labelled, bare, trained, tmp_path, capsys):
    end = ("--config", "debug", "--workers", 0, "--workdir", tmp_path / "w")

    def fails(words, *arguments):
        assert command(*arguments, *end) == 2
        error = capsys.readouterr().err.strip()
        assert "\n" not in error
        for word in words:
            assert word in error
        assert not (tmp_path / "w").exists()

    fails(["has no head pose labels", "prepare", "train pose", "--pose"], "face", "--data", bare)
    off = ("--set", "face_losses.pose.weight=0")
    fails(["face_losses.pose.weight=0"], "face", "--data", labelled, *off)
    held = ("--set", "train_face.freeze_pose=true")
    fails(["nothing has trained"], "face", "--data", labelled, *held)
    loose = ("--pose", trained, "--set", "train_face.freeze_pose=false")
    fails(["has no head pose labels"], "face", "--data", bare, *loose)
    fails(["none of its clips has head pose labels"], "pose", "--data", bare)
    fails(["no such folder"], "face", "--data", bare, "--pose", tmp_path / "none")
    fails(["--pose is for `train face`"], "pose", "--data", labelled, "--pose", trained)
    # What is enough: labels, or an encoder, or a run that has begun.
    plain, frozen = CONFIG, get_config("debug", ["train_face.freeze_pose=true"])
    check_start(frozen, "face", tmp_path / "w", bare_batches(tmp_path), True)
    (tmp_path / "run" / "checkpoints" / "5").mkdir(parents=True)
    check_start(frozen, "face", tmp_path / "run", bare_batches(tmp_path))
    with pytest.raises(UserError, match="has no head pose labels"):
        check_start(plain, "face", tmp_path / "run", bare_batches(tmp_path))
    check_start(plain, "face", tmp_path / "w", None)
    check_start(plain, "motion", tmp_path / "w", bare_batches(tmp_path))


def bare_batches(folder):
    """A folder of ready batches without pose labels."""
    out = folder / "batches"
    out.mkdir(exist_ok=True)
    image = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    np.savez(out / "0.npz", source=image, driver=image, identity=np.arange(4, dtype=np.int32))
    return out


def test_encoders_that_do_not_fit_are_refused(trained, tmp_path):
    wider = get_config("debug", ["face.motion_width=16", "face.norm_groups=4"])
    with pytest.raises(UserError, match=r"trained with face\.motion_width=8, this run asks for 16"):
        pose_parameters(trained, wider)
    # What the encoder does not depend on may differ.
    other = get_config("debug", ["face.dyn_dim=32", "face.decoder_width=32"])
    assert set(pose_parameters(trained, other)) == {"trunk", "head"}
    with pytest.raises(UserError, match="holds no checkpoints"):
        pose_parameters(tmp_path, CONFIG)
    assert cli.main(["export", str(trained), "-o", str(tmp_path / "b"), "--config", "debug"]) == 2


def test_every_config_ties_z_pose_to_head_poses():
    """By the labels' loss, or by keeping an encoder that was trained alone."""
    for name in ("vasa1", "base256", "demo", "debug"):
        config = get_config(name)
        assert (config.face_losses.pose.weight > 0) != config.train_face.freeze_pose
        assert pose_trainer(config).train == config.train_pose


def test_random_and_ready_batches_run(tmp_path):
    assert run(CONFIG, "pose", tmp_path / "a", None, steps=1).step == 1
    rng, out = np.random.default_rng(0), tmp_path / "batches"
    out.mkdir()
    draw = lambda *s: rng.normal(size=(8, *s)).astype(np.float32)  # noqa: E731
    images = rng.integers(0, 255, (8, SIZE, SIZE, 3)).astype(np.uint8)
    labels = {"pose/rotation": draw(3), "pose/translation": draw(3), "pose/log_scale": draw(1)}
    np.savez(out / "0.npz", image=images, **labels)
    assert run(CONFIG, "pose", tmp_path / "b", out, steps=1).step == 1


def test_the_path_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    for line in ("vasa-jax train pose", "--pose POSE", "vasa-jax export FACE RUN"):
        assert line in text
