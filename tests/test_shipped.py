"""The weights in the package: that they are what `demo` loads, and that they know faces."""

from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax import bundle, bundle_places
from vasa_jax.config import get_config
from vasa_jax.evaluation.image_metrics import psnr
from vasa_jax.extensions.arkit_code import SCALE, label_code
from vasa_jax.extensions.build import build_face_model
from vasa_jax.inference.generate import load_portrait
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls, Picture
from vasa_jax.media.audio import open_audio
from vasa_jax.typing import ARKIT, POSE_DIM, Motion

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"


@pytest.fixture(scope="module")
def shipped():
    return bundle.resolve_bundle("demo")


def test_demo_loads_trained_weights_of_its_own_size(shipped):
    assert shipped.trained
    assert shipped.config == get_config("demo")
    folder = bundle_places.shipped_folder("demo")
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert 20e6 < size <= 40e6
    for leaf in jax.tree.leaves(shipped.params):
        assert np.isfinite(np.asarray(leaf, np.float32)).all()
    # A motion of its own for each entry that means something.
    assert (shipped.stats.std > 0).all()


@pytest.fixture(scope="module")
def drawn(shipped):
    """The example portrait, and how the model draws it in other motions."""
    config = shipped.config.face
    model, params = build_face_model(config), {"params": shipped.params["face"]}
    photo = load_portrait(PORTRAIT, Picture(), config.image_size, Reporter("quiet")).crop.image
    portrait = jnp.asarray(photo, jnp.float32)[None] / 255
    own = jax.jit(lambda x: model.apply(params, x, method="encode_motion"))(portrait)
    source = jax.jit(lambda x: model.apply(params, x, method="encode_portrait"))(portrait)
    decode = jax.jit(lambda s, m: model.apply(params, s, m, method="decode"))

    def draw(turn=(0.0, 0.0, 0.0), **face):
        arkit = jnp.array([[face.get(name, 0.0) for name in ARKIT]])
        more = label_code(arkit, jnp.zeros((1, 2)), config.dyn_dim)
        pose = own.pose._replace(rotation=own.pose.rotation + jnp.radians(jnp.array([turn])))
        return np.asarray(decode(source, Motion(pose, own.dyn + more))[0])

    return np.asarray(portrait[0]), draw


def test_a_portrait_in_its_own_motion_comes_back(drawn):
    portrait, draw = drawn

    def alike(picture):
        return psnr(*((np.round(x * 255).astype(np.uint8)[None]) for x in (portrait, picture)))[0]

    own = alike(draw())
    assert own > 32
    assert own > alike(draw((0, 8, 0))) + 3


def test_a_head_begins_as_its_portrait_and_keeps_moving(shipped):
    """Of eight seeds: near the portrait's pose, not all alike, jaws with the sound."""
    speech = open_audio(PORTRAIT.with_name("speech.flac")).waveform
    pipeline = Pipeline(shipped, batch=8)
    photo = load_portrait(PORTRAIT, Picture(), 256, Reporter("quiet")).crop.image
    source = pipeline.encode(photo)
    features = pipeline.audio(speech)[:100]
    controls, seeds = [Controls()] * 8, range(8)
    motion = pipeline.generate_motion([source] * 8, [features] * 8, controls, seeds)
    turns = np.degrees(np.stack(motion)[..., :3])
    own = np.degrees(np.asarray(source.pose.rotation)[0])
    assert np.abs(turns[:, 0] - own).max() < 4
    assert np.abs(turns.mean(1) - own).max() < 15
    assert turns.std(1).mean() > 0.3
    jaws = np.stack(motion)[..., POSE_DIM + ARKIT.index("jawOpen")] / SCALE
    spoken = np.abs(speech[: 100 * 640]).reshape(100, 640).mean(1)
    follows = [np.corrcoef(jaw, spoken)[0, 1] for jaw in jaws]
    assert np.mean(follows) > 0.3


@pytest.mark.parametrize(
    ("face", "rows"),
    [
        ({"jawOpen": 0.6}, (8, 12)),
        ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, (5, 8)),
        ({"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}, (8, 12)),
    ],
)
def test_an_expression_moves_the_part_that_it_means(drawn, face, rows):
    """Of the face, from brows to chin, in sixteenths of the picture's height."""
    _, draw = drawn
    change = np.abs(draw(**face) - draw()).sum(-1)
    by_row = change.reshape(16, -1).sum(1)[3:12]
    assert change.mean() > 5e-3
    assert by_row[rows[0] - 3 : rows[1] - 3].sum() > 0.6 * by_row.sum()


def test_a_head_turns_both_ways(drawn):
    """Optical flow of the inner face: the picture's left is where a positive yaw looks."""
    _, draw = drawn
    grey = [
        np.round(255 * np.clip(draw((0, yaw, 0)).mean(-1), 0, 1)).astype(np.uint8)
        for yaw in (0, 12, -12)
    ]
    flows = [
        cv2.calcOpticalFlowFarneback(grey[0], other, None, 0.5, 3, 25, 3, 5, 1.2, 0)
        for other in grey[1:]
    ]
    positive, negative = (float(np.median(flow[90:180, 75:180, 0])) for flow in flows)
    assert positive < -0.5
    assert negative > 0.5
