"""The weights in the package: that they are what `demo` loads, and that they know faces."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax import bundle
from vasa_jax.config import get_config
from vasa_jax.evaluation.image import psnr
from vasa_jax.face.label_code import label_code
from vasa_jax.face.model import FaceModel
from vasa_jax.inference.generate import load_portrait
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Picture
from vasa_jax.typing import ARKIT, Motion

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"


@pytest.fixture(scope="module")
def shipped():
    return bundle.resolve_bundle("demo")


def test_demo_loads_trained_weights_of_its_own_size(shipped):
    assert shipped.trained
    assert shipped.config == get_config("demo")
    folder = bundle.shipped_folder("demo")
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
    model, params = FaceModel(config), {"params": shipped.params["face"]}
    photo = load_portrait(PORTRAIT, Picture(), config.image_size, Reporter("quiet")).crop.image
    portrait = jnp.asarray(photo, jnp.float32)[None] / 255
    own = jax.jit(lambda x: model.apply(params, x, method="encode_motion"))(portrait)
    source = jax.jit(lambda x, m: model.apply(params, x, m, method="encode_source"))(portrait, own)
    decode = jax.jit(lambda s, m: model.apply(params, s, m, method="decode"))

    def draw(turn=(0.0, 0.0, 0.0), **face):
        arkit = jnp.array([[face.get(name, 0.0) for name in ARKIT]])
        more = label_code(arkit, jnp.zeros((1, 2)), config.dyn_dim)
        pose = own.pose._replace(rotation=own.pose.rotation + jnp.radians(jnp.array([turn])))
        return np.asarray(decode(source, Motion(pose, own.dyn + more))[0])

    return np.asarray(portrait[0]), draw


def test_a_portrait_in_its_own_motion_comes_back(drawn):
    portrait, draw = drawn
    found = psnr(*((np.round(x * 255).astype(np.uint8)[None]) for x in (portrait, draw())))
    assert found[0] > 27


@pytest.mark.parametrize(
    ("face", "rows"),
    [
        ({"jawOpen": 0.6}, (0.5, 0.85)),
        ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, (0.2, 0.5)),
        ({"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}, (0.4, 0.85)),
    ],
)
def test_an_expression_moves_the_part_that_it_means(drawn, face, rows):
    """Shares of the picture's height: a crop has the eyes at 0.4 and the mouth at 0.65."""
    _, draw = drawn
    change = np.abs(draw(**face) - draw()).sum(-1)
    size = len(change)
    inside = change[int(rows[0] * size) : int(rows[1] * size)].sum()
    assert change.mean() > 2e-3
    assert inside > 0.6 * change.sum()


def test_a_turned_head_moves_to_its_side(drawn):
    """Features go where the face turns: to the right of the picture with a positive yaw."""
    _, draw = drawn
    size = len(draw())
    face = np.s_[int(0.35 * size) : int(0.7 * size), int(0.3 * size) : int(0.7 * size)]

    def shift(picture, other):
        spectrum = [np.fft.fft2(x[face].mean(-1) - x[face].mean()) for x in (picture, other)]
        peak = np.fft.ifft2(spectrum[0] * np.conj(spectrum[1])).real
        x = int(np.unravel_index(peak.argmax(), peak.shape)[1])
        return x - peak.shape[1] if x > peak.shape[1] / 2 else x

    right, left = shift(draw((0, 12, 0)), draw()), shift(draw((0, -12, 0)), draw())
    assert right * left < 0
    assert min(abs(right), abs(left)) >= 0.01 * size
