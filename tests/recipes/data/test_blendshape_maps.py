"""Displacements of the canonical face, against the renderer's own labels."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from recipes.demo.data.blendshape_maps import AMOUNT, blendshape_maps, mean_front
from tests import needs
from vasa_jax.data_pipeline.clip import EYE_SPAN
from vasa_jax.data_pipeline.synthetic.drawing.anchors import REGIONS, find_anchors
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.person import HEAD_WIDTH, Person
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.typing import ARKIT

SIZE = 64
pytestmark = needs.weights("anny-heads")


@pytest.fixture(scope="module")
def maps():
    return blendshape_maps(1, SIZE, seed=3)


def test_landmarks_of_a_rendered_face_move_as_the_maps_say(maps):
    names = [name for name, count in REGIONS for _ in range(count)]
    chosen = np.array([name in ("lips", "nose", "brows") for name in names])
    still = np.zeros(3)
    needs.require_gl()
    with HeadRenderer(64) as renderer:
        renderer.load(sample_identity(3))

        def at(arkit):
            drawn = renderer.render_at(arkit, still, still, np.zeros(1), np.zeros(2))
            return 2 * drawn.landmarks[chosen] - 1

        rest = at(np.zeros(52))
        for name in ("jawOpen", "mouthSmileLeft", "browInnerUp"):
            k = ARKIT.index(name)
            moved = at(AMOUNT * np.eye(52)[k])
            want, half = (moved - rest) / AMOUNT, (moved + rest) / 2
            place = (half[:, ::-1].T + 1) * (SIZE - 1) / 2
            found = np.stack([map_coordinates(maps[k, ..., i], place, order=1) for i in (0, 1)], 1)
            # Lips part within a step of the grid, which blurs them.
            error = np.linalg.norm(found - want, axis=1)
            assert np.median(error) < 0.005, name
            assert np.corrcoef(found[:, 1], want[:, 1])[0, 1] > 0.95, name


def test_nothing_moves_where_no_face_is(maps):
    assert maps.shape == (52, SIZE, SIZE, 3)
    assert np.isfinite(maps).all()
    edge = np.concatenate([maps[:, :2].ravel(), maps[:, :, :2].ravel(), maps[:, :, -2:].ravel()])
    assert np.abs(edge).max() < 0.01
    jaw = maps[ARKIT.index("jawOpen"), ..., 1]
    assert jaw.max() > 0.08  # the chin goes down
    assert np.abs(jaw[: SIZE // 3]).max() < 0.01  # the forehead stays


def test_the_front_of_a_head_lies_where_its_skin_does():
    front = mean_front(1, SIZE, seed=3)
    identity, mesh = sample_identity(3), load_mesh()
    anchors = find_anchors(mesh)
    person = Person(identity, mesh, [], anchors)
    posed = person.pose(np.zeros(52, np.float32), np.zeros(3), np.zeros(2))
    # A picture width is two half cubes, and the eyes' outer corners lie EYE_SPAN / 2 apart in it.
    spots = [anchors.nose, *anchors.mouth]
    unit = EYE_SPAN / person.span
    depth = 2 * unit * (posed.vertices - posed.middle)[spots, 2]
    distance = 2 * EYE_SPAN * identity.distance * HEAD_WIDTH / person.span
    place = 2 * unit * (posed.vertices - posed.middle)[spots, :2]
    place /= 1 + depth[:, None] / distance
    found = map_coordinates(front, (place[:, ::-1].T + 1) * (SIZE - 1) / 2, order=1)
    np.testing.assert_allclose(found[0], depth[0], atol=0.03)
    np.testing.assert_allclose(found[1:], depth[1:], atol=0.08)  # corners lie behind the lips
    assert np.isfinite(front).all()
    assert front[:, : SIZE // 8].min() > found[0] + 0.1  # the nose is nearer than anything aside


def test_left_and_right_mirror_each_other(maps):
    left, right = (maps[ARKIT.index(f"eyeBlink{s}")] for s in ("Left", "Right"))
    mirrored = right[:, ::-1] * np.array([-1, 1, 1])
    assert np.abs(left - mirrored).max() < 0.2 * np.abs(left).max()
    # The person's left is the picture's right.
    assert np.abs(left[:, SIZE // 2 :]).sum() > 5 * np.abs(left[:, : SIZE // 2]).sum()
