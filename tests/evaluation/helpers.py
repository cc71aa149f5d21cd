"""A toy world whose images encode their motion and identity, 16 bits a number, as blocks of pixels.

Measurements are exact, and `ToyModel` is perfect but for faults of known size.
"""

from types import SimpleNamespace

import numpy as np

from tests.data_pipeline.helpers import make_clip as make_labelled_clip
from tests.data_pipeline.helpers import write_groups
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.evaluation.types import EvalClip, FaceMeasurements, MetricNetworks, Swaps
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import EMOTIONS

SIZE = 64
SWEPT_EMOTIONS = ("happiness", "sadness", "anger", "surprise")
NUMBERS = 14  # rotation 3, translation 3, log scale, gaze 2, mouth, four emotions
MOUTH = 9
RANGE = 4.0
BLOCK = 8
POINTS = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.45, 0.6], [0.55, 0.6]])


def render(identity, motion):
    """Images (t, 64, 64, 3): red encodes the motion vectors, green and blue are the identity."""
    motion = np.asarray(motion, np.float64)
    bits = np.round((motion + RANGE / 2) / RANGE * 65535).astype(np.int64)
    red = np.zeros((len(motion), 64), np.uint8)
    red[:, 0 : 2 * NUMBERS : 2], red[:, 1 : 2 * NUMBERS : 2] = bits // 256, bits % 256
    red = np.kron(red.reshape(-1, 8, 8), np.ones((1, BLOCK, BLOCK), np.uint8))
    picture = np.empty((len(motion), SIZE, SIZE, 3), np.uint8)
    picture[..., 0] = red
    picture[..., 1:] = identity
    return picture


def parse(frames):
    """Motion vectors (t, 14) and identities (t, 2) of rendered images."""
    red = frames[:, BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK, 0].reshape(len(frames), -1)
    bits = red[:, 0 : 2 * NUMBERS : 2].astype(np.float64) * 256 + red[:, 1 : 2 * NUMBERS : 2]
    return bits / 65535 * RANGE - RANGE / 2, frames[:, 0, 0, 1:]


def measure(frames, video):
    numbers, _ = parse(frames)
    emotion = np.zeros(8)
    for i, name in enumerate(SWEPT_EMOTIONS):
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


def mean_difference(a, b):
    return np.abs(a.astype(float) - b).mean((1, 2, 3)) / 255


def identity_vector(frames, points):
    """Eight levels of green or blue are one unit of identity distance."""
    return parse(frames)[1] / 8.0


NETWORKS = MetricNetworks(measure, mean_difference, identity_vector)


class ToyModel:
    """A perfect model with the given faults."""

    def __init__(
        self,
        turned=0.0,  # yaw added to all images, radians
        leak=0.0,  # of the yaw into the mouth
        still=False,  # ignores the driver's dynamics
        late=0,  # frames that the mouth lags
        open_lips=0.0,  # added to the mouth
        jumpy=0.0,  # jump at every window's edge
        ignores_controls=False,  # ignores the controls
        other_face=0,  # added to the identity's colours
    ):
        self.__dict__.update(locals())
        self.config = SimpleNamespace(
            face=SimpleNamespace(image_size=SIZE), motion=SimpleNamespace(window=20)
        )
        self.stats = MotionStats(np.zeros(NUMBERS, np.float32), np.ones(NUMBERS, np.float32))
        self.batch = 4
        self.motion_encoder = ToyMotionEncoder()

    def encode(self, portrait):
        motion, identity = parse(portrait[None])
        return motion[0], identity[0] + np.uint8(self.other_face)

    def decode(self, source, motion):
        own, identity = source
        motion = np.array(motion, np.float64)
        if self.still:
            motion[:, 7:] = own[7:]
        motion[:, MOUTH] += self.leak * motion[:, 1]
        motion[:, 1] += self.turned
        for i in range(0, len(motion), 6):
            yield render(identity, motion[i : i + 6])

    def audio(self, waveform):
        power = np.square(waveform.astype(np.float64)).reshape(-1, 640).mean(1)
        return np.sqrt(power)[:, None].astype(np.float32)

    def generate_motion(self, sources, features, controls, seeds, *, sounds):
        found = []
        for loudness, control, seed in zip(features, controls, seeds, strict=True):
            t = np.arange(len(loudness))
            motion = np.zeros((len(t), NUMBERS), np.float32)
            motion[:, 0] = 0.1 * np.sin(t / 7 + seed)
            motion[:, MOUTH] = np.roll(loudness[:, 0], self.late) + self.open_lips
            motion[:, 10:] = self.jumpy * (t // 20)[:, None]
            if not self.ignores_controls:
                motion[:, 7:9] = np.radians(control.gaze)
                motion[:, 6] = -np.log(control.distance)
                for name, share in control.emotion or ():
                    motion[:, 10 + SWEPT_EMOTIONS.index(name)] += share
            found.append(motion)
        return found


class ToyMotionEncoder:
    batch = 5

    def __call__(self, parts):
        return np.concatenate([parse(part)[0] for part in parts]).astype(np.float32)


def make_clip(number, frames=60):
    """A clip whose mouth opening is its loudness, closed on every tenth frame: /p/."""
    rng = np.random.default_rng((3, number))
    t = np.arange(frames)
    motion = np.zeros((frames, NUMBERS))
    motion[:, :3] = 0.2 * np.sin(t[:, None] / (5 + np.arange(3)) + rng.uniform(0, 6, 3))
    motion[:, 6] = 0.1 * np.sin(t / 11)
    motion[:, 7:9] = 0.2 * np.cos(t[:, None] / np.array([6, 9]))
    phonemes = np.where(t % 10 == 4, "p", "æ")
    motion[:, MOUTH] = np.where(phonemes == "p", 0.0, rng.uniform(0.1, 0.5, frames))
    pictures = render(np.array([number * 20, 7], np.uint8), motion)
    tone = np.sin(2 * np.pi * 25 * np.arange(640) / 640) * np.sqrt(2)  # of power 1 in a frame
    waveform = (motion[:, MOUTH, None] * tone).ravel().astype(np.float32)
    return EvalClip(
        name=f"clip{number}",
        identity=f"person{number}",
        num_frames=frames,
        decode_frames=lambda numbers: pictures[list(numbers)],
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
        images[i, p, d] = render(np.array([50 * i + 5, 9], np.uint8), motion)[0]
    return Swaps(f"group{number}", (f"a{number}", f"b{number}"), images)


def write_held_out(folder):
    """Clips and swaps as files: three people, one of them twice."""
    for number, who in enumerate(("anna", "anna", "ben", "cleo")):
        path = folder / "clips" / who / f"{number}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, make_labelled_clip(number, who, frames=25))
    (folder / "swaps").mkdir()
    write_groups(folder / "swaps", 2)
