"""The renderer of a synthetic head: an identity and its motion to images with exact labels."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from vasa_jax.data_pipeline.clip import EYE_SPAN, LANDMARK_UNIT
from vasa_jax.data_pipeline.main_gaze import main_gaze
from vasa_jax.data_pipeline.synthetic.drawing.anchors import find_anchors
from vasa_jax.data_pipeline.synthetic.drawing.assets import find_assets
from vasa_jax.data_pipeline.synthetic.drawing.backdrop import backdrop
from vasa_jax.data_pipeline.synthetic.drawing.creases import crease_map
from vasa_jax.data_pipeline.synthetic.drawing.glasses import lens_texture
from vasa_jax.data_pipeline.synthetic.drawing.hairpaint import paint_hair
from vasa_jax.data_pipeline.synthetic.drawing.lashes import NAMES as LASHES
from vasa_jax.data_pipeline.synthetic.drawing.lashes import lash_part, lash_texture
from vasa_jax.data_pipeline.synthetic.drawing.maps import surface_maps
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.person import FLIP, HEAD_WIDTH, Person, Posed
from vasa_jax.data_pipeline.synthetic.drawing.proxies import read_proxy
from vasa_jax.data_pipeline.synthetic.drawing.scene import Ball, Scene
from vasa_jax.data_pipeline.synthetic.drawing.skin import SIZE, paint
from vasa_jax.data_pipeline.synthetic.drawing.teeth import along_arch, paint_teeth
from vasa_jax.data_pipeline.synthetic.identity import Identity, looks_of
from vasa_jax.data_pipeline.synthetic.track import MotionTrack
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, UInt8

_CLOTH = "helper-tights"
_WHITE = (1.0, 1.0, 1.0)


class Rendered(NamedTuple):
    """A rendered image and its labels, in the conventions of `Clip`."""

    image: UInt8[np.ndarray, "s s 3"]  # sRGB
    mask: UInt8[np.ndarray, "s s"]  # 255 where the person is, grey at edges
    rotation: Float[np.ndarray, "3"]
    translation: Float[np.ndarray, "3"]
    log_scale: Float[np.ndarray, "1"]
    points: Float[np.ndarray, "5 2"]
    # Shares of width and height, in the order of `anchors.find_anchors`.
    landmarks: Float[np.ndarray, "p 2"]
    # As rendered: the requested one within the eyes' range of rotation.
    gaze: Float[np.ndarray, "2"]
    # As `Scene.places` gives them, mesh units; None unless asked for.
    places: Float[np.ndarray, "p p 4"] | None = None


class HeadRenderer:
    """Draws one person at a time at size x size pixels; a context manager over one EGL context.

    with HeadRenderer(256) as renderer:
        renderer.load(sample_identity(7))
        rendered = renderer.render(arkit, rotation, offset, gaze)

    A picture is a function of the identity and of `render`'s arguments alone: no state is left
    from earlier pictures, and the same machine gives the same bytes. One process, one renderer.
    assets: as in `sample_identity`, which must have got the same folder.
    Raises UserError when no EGL context can be made, or the head model cannot be had.
    """

    def __init__(self, size: int, supersample: int = 2, assets: Path | None = None):
        self.size = size
        self._assets = None if assets is None else find_assets(Path(assets))
        self._mesh = load_mesh()
        self._scene = Scene(size * supersample)
        self._maps = surface_maps(self._scene.context, self._mesh)
        self._anchors = find_anchors(self._mesh)
        self._teeth = {jaw: along_arch(self._mesh, jaw) for jaw in ("upper", "lower")}
        self._painted = None

    def __enter__(self) -> "HeadRenderer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the context back."""
        self._scene.close()

    def load(self, identity: Identity) -> None:
        """Makes `identity` the person to draw (half a second or so, in which textures are painted,
        unless the person before had the same `looks_of`)."""
        scene, mesh = self._scene, self._mesh
        scene.clear()
        worn = self._worn(identity)
        self._identity = identity
        self._person = Person(identity, mesh, [proxy for _, proxy in worn], self._anchors)
        self._focal = EYE_SPAN * np.exp(identity.log_scale) * identity.distance * HEAD_WIDTH
        self._focal /= self._person.span  # in picture widths
        self._behind = backdrop(identity.background, self.size)
        scene.light(identity.light, self._focal)
        self._paint(identity)
        skin = scene.texture(self._skin)
        scene.add(mesh.parts["body"], 0, "skin", skin, shine=0.55, softness=1.0, creased=1.0)
        scene.crease(scene.texture(self._creases))
        cloth = scene.plain(identity.shirt)
        scene.add(mesh.parts[_CLOTH], 0, "skin", cloth, shine=0.05, softness=0.3, creased=0.0)
        for jaw, apart in (("upper", 4), ("lower", 5)):
            texture = scene.texture(paint_teeth(identity.mouth, jaw))
            look: dict[str, Any] = {"shine": 1.2, "softness": 1.0, "power": 60.0}
            scene.add(self._teeth[jaw], 0, "mouth", texture, **look, apart=apart)
        texture, look = scene.plain(identity.mouth.tongue), {"shine": 0.7, "softness": 0.7}
        scene.add(mesh.parts["helper-tongue"], 0, "mouth", texture, **look, power=30.0, apart=6)
        iris = tuple(float(c) ** 2.2 for c in identity.iris)
        for k in range(2):
            scene.add_ball(
                k,
                centre=(0.0, 0.0, 0.0),
                iris=iris,
                white=(0.80, 0.76, 0.72),
                seed=float(identity.skin.seed % 97),
                apart=3,
            )
        if identity.lashes == "painted":
            strip = scene.texture(lash_texture(np.random.default_rng((identity.seed, 17))))
            for name in LASHES:
                part = lash_part(mesh, name)
                scene.add(part, 0, "hair", strip, tint=_WHITE, floor_alpha=0.02, inner=1.0)
        for (kind, proxy), start in zip(worn, self._person.starts, strict=True):
            picture = cv2.cvtColor(_read(proxy.picture), cv2.COLOR_BGRA2RGBA)
            colour = {"hair": identity.hair_colour, "brows": identity.brow_colour}.get(kind)
            tint = _WHITE if colour is None else _tint(picture, colour)
            texture = scene.texture(picture)
            # Whole strands of hair first, so that their soft edges blend over them.
            for floor in (0.75, 0.35) if kind == "hair" else (0.06,):
                scene.add(
                    proxy.part, int(start), "hair", texture, tint=tint, floor_alpha=floor, inner=1.0
                )

        shell = self._person.shell
        if shell is not None:
            texture = scene.texture(self._hair)
            look = {"tint": _WHITE, "inner": 0.25}
            start = self._person.shell_start
            scene.add(shell.solid, start, "shell", texture, **look)
            for floor in (0.9, 0.04):
                scene.add(shell.soft, start, "hair", texture, floor_alpha=floor, **look)
        if identity.glasses is not None:
            self._put_on(identity.glasses)

    def _put_on(self, glasses):
        scene, frame, start = self._scene, self._person.glasses, self._person.glasses_start
        look = {"shine": glasses.shine, "softness": 0.0, "creased": 0.0, "apart": 7}
        scene.add(frame.frame, start, "skin", scene.plain(glasses.colour), **look)
        lens = scene.texture(lens_texture(glasses))
        look = {"tint": _WHITE, "floor_alpha": 0.0, "inner": 1.0, "apart": 7}
        scene.add(frame.lenses, start, "hair", lens, **look)

    def _paint(self, identity):
        if self._painted == looks_of(identity):
            return
        photo = None
        if identity.skin.texture:
            photo = _adjusted(self._assets.skins[identity.skin.texture], identity.skin)
        self._skin = paint(identity, self._maps, photo)
        self._creases = crease_map(self._maps, identity.seed)
        self._hair = None if self._person.shell is None else paint_hair(identity, self._mesh)
        self._painted = looks_of(identity)

    def _worn(self, identity):
        rooms = (
            {}
            if self._assets is None
            else {
                "brows": self._assets.brows,
                "lashes": self._assets.lashes,
                "hair": self._assets.hair,
            }
        )
        found = []
        for kind, names in rooms.items():
            folder = names.get(getattr(identity, kind))
            proxy = None if folder is None else _proxy(folder)
            if proxy is not None:
                found.append((kind, proxy))
        return found

    def render(
        self,
        arkit: Float[np.ndarray, "52"],
        rotation: Float[np.ndarray, "3"],
        offset: Float[np.ndarray, "3"],
        gaze: Float[np.ndarray, "2"],
    ) -> Rendered:
        """One picture of the loaded person; the arguments are one row of a `MotionTrack`."""
        posed = self._person.pose(arkit, rotation, gaze)
        depth = self._identity.distance * HEAD_WIDTH
        x, y = (p * depth / (2 * self._focal) for p in self._identity.place)
        rest = np.array([x, y, depth]) + np.asarray(offset, float) * HEAD_WIDTH
        return self._draw(posed, rotation, rest - self._person.rest)

    def render_at(
        self,
        arkit: Float[np.ndarray, "52"],
        rotation: Float[np.ndarray, "3"],
        translation: Float[np.ndarray, "3"],
        log_scale: Float[np.ndarray, "1"],
        gaze: Float[np.ndarray, "2"],
        places: bool = False,
    ) -> Rendered:
        """The same with the head exactly where labels say: two people get the same head pose.

        places: whether to tell which place of the head at rest every pixel shows.
        """
        posed = self._person.pose(arkit, rotation, gaze)
        depth = self._focal * self._person.span / (EYE_SPAN * np.exp(float(log_scale[0])))
        place = np.array([*(np.asarray(translation[:2], float) * depth / (2 * self._focal)), depth])
        drawn = self._draw(posed, rotation, place - posed.middle)
        if not places:
            return drawn
        balls = self._balls(posed, 0)
        return drawn._replace(places=self._scene.places(self._person.places, balls, posed.eyes))

    def _draw(self, posed: Posed, rotation, move) -> Rendered:
        rows = np.concatenate([posed.vertices + move, posed.normals], 1).astype("f4")
        mouth = posed.mouth._replace(middle=posed.mouth.middle + move)
        fine = self._scene.draw(rows, self._balls(posed, move), posed.eyes, mouth, posed.creases)
        drawn = cv2.resize(fine, (self.size, self.size), interpolation=cv2.INTER_AREA)
        mask = drawn[..., 3]
        behind = self._behind * (1 - mask[..., None] / np.float32(255))
        image = np.clip(drawn[..., :3] + behind + 0.5, 0, 255).astype(np.uint8)
        return Rendered(image, mask, *self._labels(posed, rotation, move))

    def _balls(self, posed, move):
        person, turn = self._person, posed.rotation
        rest = [(centre - person.pivot) * FLIP for centre in person.eye_centres]
        return [
            Ball(self._eye_place(k, posed.turn) + move, person.eye_radii[k], turn, rest[k])
            for k in (0, 1)
        ]

    def _eye_place(self, k, turn):
        person = self._person
        return ((person.eye_centres[k] - person.pivot) * FLIP) @ turn.T + person.pivot * FLIP

    def _labels(self, posed: Posed, rotation, move):
        person, anchors = self._person, self._anchors
        middle = posed.middle + move
        scale = self._focal * person.span / middle[2] / EYE_SPAN
        translation = [*(2 * self._focal * middle[:2] / middle[2]), 0.0]
        ahead = posed.rotation @ np.array([0.0, 0.0, -1.0])
        eyes = [self._eye_place(k, posed.turn) + ahead * person.eye_radii[k] for k in (1, 0)]
        spots = posed.vertices[[anchors.nose, *anchors.mouth]]
        five = np.concatenate([eyes, spots]) + move
        landmarks = posed.vertices[anchors.landmarks] + move
        f32 = lambda x: np.asarray(x, np.float32)  # noqa: E731
        return (
            f32(rotation),
            f32(translation),
            f32([np.log(scale)]),
            f32(self._project(five)),
            f32(self._project(landmarks)),
            f32(posed.gaze),
        )

    def _project(self, points):
        """Shares of width and height of points in camera axes."""
        return 0.5 + self._focal * points[:, :2] / points[:, 2:]


def render_track(
    renderer: HeadRenderer, identity: Identity, track: MotionTrack
) -> tuple[UInt8[np.ndarray, "t s s 3"], dict[str, Any]]:
    """Every frame of a track, and the labels by `Clip`'s field names, ready for it.

    The labels: rotation, translation, log_scale, gaze, points, arkit (float32, t rows), landmarks,
    phonemes (int16), main_gaze, distance, emotion (of the clip), and masks: (t, s, s) uint8, yet to
    be encoded. Deterministic; loads the identity.
    """
    renderer.load(identity)
    drawn = [
        renderer.render(*row)
        for row in zip(track.arkit, track.rotation, track.offset, track.gaze, strict=True)
    ]

    def stack(name):
        return np.stack([getattr(picture, name) for picture in drawn])

    labels = {
        name: stack(name) for name in ("rotation", "translation", "log_scale", "gaze", "points")
    }
    labels["arkit"] = track.arkit.astype(np.float32)
    labels["landmarks"] = np.round(stack("landmarks") * LANDMARK_UNIT).astype(np.int16)
    labels["phonemes"] = track.phonemes.astype(np.int16)
    labels["main_gaze"] = main_gaze(labels["gaze"])
    labels["distance"] = np.exp(-labels["log_scale"].mean()).astype(np.float32)
    labels["emotion"] = track.emotion.astype(np.float32)
    labels["masks"] = stack("mask")
    return stack("image"), labels


@lru_cache(maxsize=64)
def _proxy(folder: Path):
    return read_proxy(folder, load_mesh().kept)


def _read(path: Path):
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3:
        raise UserError(f"{path}: is not a colour picture; get MakeHuman's assets anew")
    if picture.shape[2] == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)
    return picture


def _adjusted(path: Path, skin):
    """A skin of the assets, its redness turned and its lightness changed."""
    picture = cv2.cvtColor(_read(path), cv2.COLOR_BGRA2RGB)
    picture = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    picture *= skin.lightness * (1 + 0.08 * skin.hue * np.array([1.0, -0.1, -1.0]))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _tint(picture, colour):
    """Factors in linear light that bring a texture's mean grey to the wanted colour: its own hues,
    which may be faint and odd in a dark texture, are not stretched."""
    solid = picture[picture[..., 3] > 128][:, :3]
    grey = ((solid / 255.0) ** 2.2).mean() if len(solid) else 1.0
    factors = np.array(colour) ** 2.2 / max(grey, 0.004)
    return tuple(float(v) for v in np.clip(factors, 0.02, 6.0))
