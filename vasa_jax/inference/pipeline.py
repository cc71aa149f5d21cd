"""The compiled stages of one model: encode once, sample window by window, decode in batches.

Every stage is one program of fixed shapes, so that a second portrait, or a clip of another
length, compiles nothing new. Work enters and leaves as numpy arrays.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.chunks import encode_clip
from vasa_jax.bundle import Bundle, build_networks
from vasa_jax.config_text import to_dict
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.programs import inference_params, jit_decode, jit_encode
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls
from vasa_jax.motion.clips import Before, ClipControls, sample_clips, window_count
from vasa_jax.motion.sampler import (
    LinenNetwork,
    WindowCarry,
    WindowInputs,
    make_plan,
    sample_windows,
)
from vasa_jax.typing import (
    FPS,
    LOG_SCALE,
    ROTATION,
    SAMPLES_PER_FRAME,
    TRANSLATION,
    Array,
    Float,
    Key,
    PortraitArray,
    Source,
)


class Pipeline:
    """One model, ready to run on the default device. `batch` clips are sampled together."""

    def __init__(self, bundle: Bundle, batch: int = 1):
        self.config, self.stats, self.trained = bundle.config, bundle.stats, bundle.trained
        self.batch = batch
        self._networks = build_networks(self.config, folded=True)
        self._params = jax.jit(inference_params, static_argnums=1)(bundle.params, self.config.dtype)
        self._plan, self._weights = make_plan(self.config.diffusion)
        self._encode = jit_encode(self._networks.face)
        self._decode = jit_decode(self._networks.face)
        audio = self._networks.audio
        self._hear = jax.jit(lambda p, row, real: audio.apply({"params": p}, row, real, None, True))
        self._compiled = False

    @property
    def identity(self) -> str:
        """Names this model by its config and a sample of its weights: equal models, equal names."""
        digest = hashlib.sha256(json.dumps(to_dict(self.config), sort_keys=True).encode())
        for leaf in jax.tree.leaves(self._params):
            digest.update(np.asarray(leaf).ravel()[:16].tobytes())
        return digest.hexdigest()[:16]

    def compile(self, report: Reporter) -> None:
        """Build every program, or fetch it from the compile cache; later calls do nothing."""
        if self._compiled:
            return
        size, count = self.config.face.image_size, self.config.inference.decode_batch
        with report.stage("compile", 4) as advance:
            params = self._params["face"]
            image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
            source = jax.eval_shape(self._encode, params, image)
            self._encode = self._encode.lower(params, image).compile()
            advance(1)
            vectors = jax.ShapeDtypeStruct((count, self.config.face.motion_dim), jnp.float32)
            self._decode = self._decode.lower(params, source, vectors).compile()
            advance(1)
            features = self.audio(np.zeros(1, np.float32))
            advance(1)
            # The sampler skips windows without valid audio, so running it on none only compiles.
            self.sample([features[:0]] * self.batch, [Controls()] * self.batch, [0] * self.batch)
            advance(1)
        self._compiled = True

    def encode(self, portrait: PortraitArray) -> Source:
        """The portrait's canonical volume and identity, batch 1, on the device."""
        return self._encode(self._params["face"], portrait[None])

    @cached_property
    def motion_encoder(self) -> MotionEncoder:
        """Frames to [pose, z_dyn], for those runs that are driven by a video."""
        return MotionEncoder(self.config, self._params["face"], devices=jax.devices()[:1])

    def audio(self, waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t a"]:
        """Audio features of a whole clip at 25 Hz."""
        return encode_clip(
            self._networks.audio, {"params": self._params["audio"]}, waveform, self.config.audio
        )

    def windows(self, frames: int) -> int:
        """Windows that the sampler needs for a clip of `frames` frames."""
        return window_count(frames, self.config.motion.window)

    def sample(
        self,
        features: Sequence[np.ndarray],
        controls: Sequence[Controls],
        seeds: Sequence[int],
        poses: Sequence[np.ndarray | None] | None = None,
        advance: Callable[[int], None] | None = None,
        sources: Sequence[Source | None] | None = None,
    ) -> list[Float[np.ndarray, "t m"]]:
        """[pose, z_dyn] of up to `batch` clips; a clip's result depends on its own seed alone.

        features: (t, a) per clip, t may be 0. poses: optional (t, 7) tracks to keep.
        sources: portraits whose heads the clips begin with, see `before`; without one a clip begins
        with any of the training data's. advance: called with the number of windows done.
        """
        poses = list(poses) if poses is not None else [None] * len(features)
        sources = list(sources) if sources is not None else [None] * len(features)
        spare = self.batch - len(features)
        clips = [*features, *[features[0][:0]] * spare]
        wishes = [
            wish.for_clip(pose, None if source is None else self.before(source, wish.distance))
            for wish, pose, source in zip(controls, poses, sources, strict=True)
        ]
        wishes += [ClipControls()] * spare
        keys = jax.vmap(jax.random.key)(np.asarray([*seeds, *[0] * spare], np.uint32))
        motions = sample_clips(
            LinenNetwork(self._networks.motion),
            self._plan,
            self._weights,
            {"params": self._params["motion"]},
            self.config.motion,
            self.stats,
            clips,
            wishes,
            keys,
            self.config.inference.windows_per_call,
            advance,
        )
        return motions[: len(features)]

    def sample_next(
        self, carry: WindowCarry, inputs: WindowInputs, keys: Key[Array, " b"]
    ) -> tuple[WindowCarry, Float[Array, "b n w m"]]:
        """The next windows of clips that are still being heard, normalised; see `stream`."""
        params = {"params": self._params["motion"]}
        network = LinenNetwork(self._networks.motion)
        return sample_windows(network, self._plan, params, carry, inputs, keys, self._weights)

    def hear(
        self, waveform: Float[np.ndarray, "b n"], num_samples: int
    ) -> Float[np.ndarray, "b t a"]:
        """Features of sound as it stands, of which `num_samples` are real; see `stream`."""
        real = np.full(len(waveform), num_samples, np.int32)
        return np.asarray(self._hear(self._params["audio"], waveform, real), np.float32)

    @property
    def sound_reach(self) -> int | None:
        """Video frames that a feature sees on each side; None: all of its chunk."""
        seconds = getattr(self._networks.audio, "receptive_seconds", None)
        return None if seconds is None else math.ceil(seconds * FPS)

    def prepare_sound(
        self, waveform: Float[np.ndarray, " n"], gain: float
    ) -> Float[np.ndarray, " n"]:
        """What is done to sound on the host before `hear`. gain: see `audio.level`."""
        audio = self._networks.audio
        if gain != 1 and not audio.sets_level:
            waveform = waveform * np.float32(gain)
        return audio.prepare(waveform)

    @cached_property
    def _silence(self) -> Float[np.ndarray, "k a"]:
        frames = self.config.motion.context
        return self.audio(np.zeros(frames * SAMPLES_PER_FRAME, np.float32))[:frames]

    def before(self, source: Source, distance: float | None = 1.0) -> Before:
        """As if the portrait's head had waited in silence, with a resting face, `distance` times as
        far away (None: at the training data's mean size).

        A clip that begins from nothing takes any of the head poses that clips of the training data
        have, for as long as it lasts: a portrait that looks ahead would be turned away.
        """
        pose, motion = source.pose, np.array(self.stats.mean)
        motion[ROTATION], motion[TRANSLATION] = pose.rotation[0], pose.translation[0]
        if distance is not None:
            motion[LOG_SCALE] = np.asarray(pose.log_scale)[0] - math.log(distance)
        return Before(np.tile(motion, (self.config.motion.context, 1)), self._silence)

    def stay(
        self,
        source: Source,
        motion: Float[np.ndarray, "t m"],
        distance: float | None = 1.0,
        start: Float[np.ndarray, " m"] | None = None,
    ) -> Float[np.ndarray, "t m"]:
        """Generated motion moved so that it starts where the portrait's head is, `distance` times
        as far away (None: as far as it was generated, for a portrait of mean size).

        Heads of the training data have places and sizes of their own. A head that left the
        portrait's for those would bring into sight what no portrait shows, at its edges.

        start: the clip's first motion, where `motion` is a later part of it.
        """
        start = motion[0] if start is None else start
        moved = np.array(motion)
        moved[:, TRANSLATION] += np.asarray(source.pose.translation)[0] - start[TRANSLATION]
        if distance is None:
            from_size = self.stats.mean[LOG_SCALE]
        else:
            from_size = start[LOG_SCALE] + math.log(distance)
        moved[:, LOG_SCALE] += np.asarray(source.pose.log_scale)[0] - from_size
        return moved

    def decode(self, source: Source, motion: Float[np.ndarray, "t m"]) -> Iterator[np.ndarray]:
        """uint8 frames in batches of at most `decode_batch`.

        A batch is copied to the host while the device works on the next one.
        """
        size = self.config.inference.decode_batch
        pending: tuple[jax.Array, int] | None = None
        for start in range(0, len(motion), size):
            chunk = motion[start : start + size]
            ahead = self._decode(self._params["face"], source, _padded(chunk, size))
            if pending is not None:
                yield np.asarray(pending[0])[: pending[1]]
            pending = ahead, len(chunk)
        if pending is not None:
            yield np.asarray(pending[0])[: pending[1]]


def _padded(rows: np.ndarray, size: int) -> np.ndarray:
    """The rows with the last one repeated up to `size`: programs have one shape."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
