"""Rendered transfer groups: people in every pose with every expression (`SwapGroup`)."""

import numpy as np

from vasa_jax.angles import gaze_angles, gaze_directions, rotation_matrices
from vasa_jax.data_pipeline.loading.correspondence import encode_places
from vasa_jax.data_pipeline.loading.image_codec import encode_jpeg, encode_png
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.data_pipeline.synthetic.clipmaker import person_of, renderer
from vasa_jax.data_pipeline.synthetic.emotion import draw_emotion, expression
from vasa_jax.data_pipeline.synthetic.gaze import look_coefficients
from vasa_jax.data_pipeline.synthetic.identity import with_looks
from vasa_jax.data_pipeline.synthetic.plan import Plan, SwapJob, name_of
from vasa_jax.data_pipeline.synthetic.visemes import PLACE, SHAPES, vector
from vasa_jax.typing import ARKIT, Float

_POSE_SD, _POSE_MOST = np.radians([10.0, 18.0, 6.0]), np.radians([24.0, 38.0, 15.0])
_PLACE, _PLACE_MOST, _SCALE_SD = np.array([0.0, -0.1]), np.array([0.18, 0.16]), 0.13
_EYE_SD, _EYE_MOST = np.radians([9.0, 6.0]), np.radians([20.0, 12.0])


def make_group(job: SwapJob, plan: Plan) -> SwapGroup:
    """`plan.swap_people` x `plan.swap_poses` x `plan.swap_dynamics`; the same plan and job give the
    same group.

    By their labels all have the very same head pose, so that one's can be given to the other as it
    is. A dyn is an ARKit face with a direction of the eyes in the head; eyes turn along with it.
    """
    rng = np.random.default_rng((plan.seed, 6, job.number))
    poses, dynamics = plan.swap_poses, plan.swap_dynamics
    rotation = np.clip(rng.standard_normal((poses, 3)) * _POSE_SD, -_POSE_MOST, _POSE_MOST)
    place = np.zeros((poses, 3), np.float32)
    place[:, :2] = rng.uniform(-1, 1, (poses, 2)) * _PLACE_MOST + _PLACE
    scale = np.clip(rng.standard_normal((poses, 1)) * _SCALE_SD, -0.3, 0.3).astype(np.float32)
    faces = _draw_faces(rng, dynamics)
    eyes = np.clip(rng.standard_normal((dynamics, 2)) * _EYE_SD, -_EYE_MOST, _EYE_MOST)
    faces = np.clip(faces + look_coefficients(eyes, np.zeros((dynamics, 3))), 0, 1)
    faces, rotation = faces.astype(np.float32), rotation.astype(np.float32)
    gaze = turn_gaze(eyes, rotation).astype(np.float32)
    engine = renderer(plan.size, plan.assets)
    images, masks, places, rows = [], [], [], []
    people = [person_of(plan, person) for person in job.people]
    if plan.swap_looks:
        people = [with_looks(identity, people[0]) for identity in people]
    for identity in people:
        engine.load(identity)
        for p in range(poses):
            for d in range(dynamics):
                drawn = engine.render_at(
                    faces[d], rotation[p], place[p], scale[p], gaze[p, d], plan.places
                )
                images.append(encode_jpeg(drawn.image, plan.jpeg_quality))
                masks.append(encode_png(drawn.mask))
                if drawn.places is not None:
                    places.append(encode_places(drawn.places))
                rows.append(drawn)

    def table(name: str) -> np.ndarray:
        values = np.stack([np.asarray(getattr(row, name), np.float32) for row in rows])
        return values.reshape(len(job.people), poses, dynamics, *values.shape[1:])

    return SwapGroup(
        group_id=f"synth{plan.seed}-swap{job.number:05d}",
        size=plan.size,
        identity=tuple(name_of(plan, person) for person in job.people),
        images=images,
        rotation=table("rotation")[:, :, 0],
        translation=table("translation")[:, :, 0],
        log_scale=table("log_scale")[:, :, 0],
        points=table("points"),
        arkit=faces,
        gaze=gaze,
        masks=masks,
        places=places or None,
    )


def _draw_faces(rng: np.random.Generator, count: int) -> Float[np.ndarray, "d 52"]:
    """Expressions of a group: the first is a face at rest, as most portraits show."""
    rest = np.zeros(len(ARKIT))
    if rng.random() < 0.5:
        rest = 0.5 * expression(draw_emotion(rng), np.zeros(1))[0]
        rest[PLACE["jawOpen"]] = 0.0
    return np.stack([rest, *(_draw_face(rng) for _ in range(count - 1))])


def _draw_face(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    """A mouth of speech or a smile, an emotion, now and then a wider jaw, a blink or a wink."""
    if rng.random() < 0.8:
        face = rng.uniform(0.25, 1.0) * vector(SHAPES[str(rng.choice(list(SHAPES)))])
    else:
        smile, teeth = rng.uniform(0.3, 1.0), rng.choice([0.0, 1.0]) * rng.uniform(0.3, 1.0)
        face = vector(
            {
                "mouthSmile": smile,
                "cheekSquint": 0.6 * smile,
                "mouthUpperUp": 0.5 * teeth,
                "mouthLowerDown": 0.3 * teeth,
                "jawOpen": 0.2 * teeth * rng.random(),
            }
        )
    face = face + expression(draw_emotion(rng), np.zeros(1))[0]
    if rng.random() < 0.35:  # further than speech alone goes
        face[PLACE["jawOpen"]] += rng.uniform(0.0, 0.6)
    if rng.random() < 0.25:
        shut = rng.uniform(0.85, 1.0) if rng.random() < 0.7 else rng.uniform(0.2, 0.85)
        sides = ("Left", "Right") if rng.random() < 0.9 else (str(rng.choice(["Left", "Right"])),)
        for side in sides:
            face[PLACE[f"eyeBlink{side}"]] = shut
            face[PLACE[f"eyeWide{side}"]] = 0.0
    return np.clip(face, 0, 1)


def turn_gaze(
    eyes: Float[np.ndarray, "d 2"], rotation: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p d 2"]:
    """Directions in the head (yaw and pitch as in `Clip.gaze` of a head that faces the camera),
    turned by poses: against the camera's axes."""
    turned = np.einsum("pij,dj->pdi", rotation_matrices(rotation), gaze_directions(eyes))
    return gaze_angles(turned)
