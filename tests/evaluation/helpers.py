"""A world whose pictures state their own truth: sixteen bits of every number, drawn as blocks.

A model of it can be perfect, or wrong in a way that is known, and a reader reads without error.
"""

from types import SimpleNamespace

import numpy as np

from vasa_jax.evaluation.types import EvalClip, FaceMeasurements, MetricNetworks, Swaps
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import EMOTIONS

SIZE = 64
FELT = ("happiness", "sadness", "anger", "surprise")
NUMBERS = 14  # rotation 3, translation 3, log scale, gaze 2, mouth, four emotions
MOUTH = 9
RANGE = 4.0
BLOCK = 8
POINTS = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.45, 0.6], [0.55, 0.6]])


def draw(identity, motion):
    """(t, 64, 64, 3): red is the motion vectors' bits, green and blue who it is."""
    motion = np.asarray(motion, np.float64)
    bits = np.round((motion + RANGE / 2) / RANGE * 65535).astype(np.int64)
    red = np.zeros((len(motion), 64), np.uint8)
    red[:, 0 : 2 * NUMBERS : 2], red[:, 1 : 2 * NUMBERS : 2] = bits // 256, bits % 256
    red = np.kron(red.reshape(-1, 8, 8), np.ones((1, BLOCK, BLOCK), np.uint8))
    picture = np.empty((len(motion), SIZE, SIZE, 3), np.uint8)
    picture[..., 0] = red
    picture[..., 1:] = identity
    return picture


def look(frames):
    """(t, 14) motion vectors and (t, 2) identities."""
    red = frames[:, BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK, 0].reshape(len(frames), -1)
    bits = red[:, 0 : 2 * NUMBERS : 2].astype(np.float64) * 256 + red[:, 1 : 2 * NUMBERS : 2]
    return bits / 65535 * RANGE - RANGE / 2, frames[:, 0, 0, 1:]


def read(frames, video):
    numbers, _ = look(frames)
    emotion = np.zeros(8)
    for i, name in enumerate(FELT):
        emotion[EMOTIONS.index(name)] = numbers[:, MOUTH + 1 + i].mean()
    return FaceMeasurements(
        rotation=numbers[:, :3],
        log_scale=numbers[:, 6],
        gaze=numbers[:, 7:9],
        mouth=numbers[:, MOUTH],
        points=np.broadcast_to(POINTS, (len(frames), 5, 2)).copy(),
        expression=numbers[:, 7:],
        emotion=emotion,
    )


def differ(a, b):
    return np.abs(a.astype(float) - b).mean((1, 2, 3)) / 255


def embed(frames, points):
    """People are a unit apart for every eight levels of green."""
    return look(frames)[1] / 8.0


NETWORKS = MetricNetworks(read, differ, embed)


class ToyModel:
    """Perfect, but for what its arguments say.

    turned: yaw added to all pictures, radians. leak: of the yaw into the mouth. still: the dynamics
    of the driver are ignored. late: frames that the mouth lags. open_lips: added to the mouth.
    jumpy: size of a jump at every window's edge. deaf: commands are ignored. other_face: the
    person's colour is changed.
    """

    def __init__(
        self,
        turned=0.0,
        leak=0.0,
        still=False,
        late=0,
        open_lips=0.0,
        jumpy=0.0,
        deaf=False,
        other_face=0,
    ):
        self.__dict__.update(locals())
        self.config = SimpleNamespace(
            face=SimpleNamespace(image_size=SIZE), motion=SimpleNamespace(window=20)
        )
        self.stats = MotionStats(np.zeros(NUMBERS, np.float32), np.ones(NUMBERS, np.float32))
        self.batch = 4
        self.motion_encoder = SimpleEncoder()

    def encode(self, portrait):
        motion, identity = look(portrait[None])
        return motion[0], identity[0] + np.uint8(self.other_face)

    def decode(self, source, motion):
        own, identity = source
        motion = np.array(motion, np.float64)
        if self.still:
            motion[:, 7:] = own[7:]
        motion[:, MOUTH] += self.leak * motion[:, 1]
        motion[:, 1] += self.turned
        for i in range(0, len(motion), 6):
            yield draw(identity, motion[i : i + 6])

    def audio(self, waveform):
        power = np.square(waveform.astype(np.float64)).reshape(-1, 640).mean(1)
        return np.sqrt(power)[:, None].astype(np.float32)

    def generate_motion(self, sources, features, controls, seeds, *, sounds):
        found = []
        for heard, wish, seed in zip(features, controls, seeds, strict=True):
            t = np.arange(len(heard))
            motion = np.zeros((len(t), NUMBERS), np.float32)
            motion[:, 0] = 0.1 * np.sin(t / 7 + seed)
            motion[:, MOUTH] = np.roll(heard[:, 0], self.late) + self.open_lips
            motion[:, 10:] = self.jumpy * (t // 20)[:, None]
            if not self.deaf:
                motion[:, 7:9] = np.radians(wish.gaze)
                motion[:, 6] = -np.log(wish.distance)
                for name, share in wish.emotion or ():
                    motion[:, 10 + FELT.index(name)] += share
            found.append(motion)
        return found


class SimpleEncoder:
    batch = 5

    def __call__(self, parts):
        return np.concatenate([look(part)[0] for part in parts]).astype(np.float32)


def make_clip(number, frames=60):
    """A clip whose mouth is as open as its sound is loud, closed on every tenth frame: /p/."""
    rng = np.random.default_rng((3, number))
    t = np.arange(frames)
    motion = np.zeros((frames, NUMBERS))
    motion[:, :3] = 0.2 * np.sin(t[:, None] / (5 + np.arange(3)) + rng.uniform(0, 6, 3))
    motion[:, 6] = 0.1 * np.sin(t / 11)
    motion[:, 7:9] = 0.2 * np.cos(t[:, None] / np.array([6, 9]))
    phonemes = np.where(t % 10 == 4, "p", "æ")
    motion[:, MOUTH] = np.where(phonemes == "p", 0.0, rng.uniform(0.1, 0.5, frames))
    pictures = draw(np.array([number * 20, 7], np.uint8), motion)
    tone = np.sin(2 * np.pi * 25 * np.arange(640) / 640) * np.sqrt(2)  # of power 1 in a frame
    waveform = (motion[:, MOUTH, None] * tone).ravel().astype(np.float32)
    return EvalClip(
        name=f"clip{number}",
        identity=f"person{number}",
        num_frames=frames,
        pictures=lambda numbers: pictures[list(numbers)],
        waveform=waveform,
        rotation=motion[:, :3].astype(np.float32),
        log_scale=motion[:, 6].astype(np.float32),
        gaze=motion[:, 7:9].astype(np.float32),
        phonemes=tuple(phonemes.tolist()),
    )


def make_swaps(number=0):
    """Two of everything: yaw 0 or 0.2, mouth 0 or 0.4."""
    images = np.empty((2, 2, 2, SIZE, SIZE, 3), np.uint8)
    for i, p, d in np.ndindex(2, 2, 2):
        motion = np.zeros((1, NUMBERS))
        motion[0, 1], motion[0, MOUTH] = 0.2 * p, 0.4 * d
        images[i, p, d] = draw(np.array([50 * i + 5, 9], np.uint8), motion)[0]
    return Swaps(f"group{number}", (f"a{number}", f"b{number}"), images)
