"""The compiled stages of one model: encode once, sample window by window, decode in batches.

Every stage is one program of fixed shapes: another portrait, or a clip of another length, compiles
nothing new. Inputs and results are numpy arrays.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.digest import sound_digests
from vasa_jax.audio.samples import Samples
from vasa_jax.bundle import Bundle, build_networks
from vasa_jax.config.overrides import to_dict
from vasa_jax.extensions.neutral_context import (
    InitialContext,
    PortraitAnchor,
    has_neutral_start,
    initial_context,
    with_initial_context,
)
from vasa_jax.inference.audio_features import ChunkedEncoder
from vasa_jax.inference.blocks import Block, BlockMaker
from vasa_jax.inference.lanes import Lanes, Program, batched
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.motion_stream import MotionStream, Placement
from vasa_jax.inference.programs import decode_frames, encode_portrait, inference_params
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls
from vasa_jax.motion.clips import ClipControls, ClipSampling, check_features, null_carry
from vasa_jax.motion.sampler import LinenNetwork, make_plan, sample_windows
from vasa_jax.typing import (
    FPS,
    SAMPLES_PER_FRAME,
    Float,
    Frames,
    PortraitArray,
    Source,
    UInt,
)


class Pipeline:
    """One model, ready to run on `devices` (default: the first).

    batch: clips that a device samples together; the attribute `batch` counts those of all devices.
    Results do not depend on the number of devices (`lanes`), and on `batch` only by rounding.
    """

    def __init__(self, bundle: Bundle, batch: int = 1, devices: Sequence[Any] | None = None):
        self.config, self.stats, self.trained = bundle.config, bundle.stats, bundle.trained
        self.lanes = Lanes(devices)
        self.batch = batch * len(self.lanes)
        self._networks = build_networks(self.config, folded=True)
        params = jax.jit(inference_params, static_argnums=1)(bundle.params, self.config.dtype)
        plan, weights = make_plan(self.config.diffusion)
        self._params = jax.device_put(params, self.lanes.whole)
        self._weights = jax.device_put(weights, self.lanes.whole)
        face, audio = self._networks.face, self._networks.audio
        network = LinenNetwork(self._networks.motion)

        def sample(parameters, carry, inputs, seeds):
            params, weights = parameters
            carry = carry._replace(number=carry.number[0])
            keys = jax.vmap(jax.random.key)(seeds)
            carry, motion = sample_windows(network, plan, params, carry, inputs, keys, weights)
            return carry._replace(number=carry.number[None]), motion

        self.audio_encoder = ChunkedEncoder(
            audio, self._params["audio"], self.config.audio, self.lanes
        )
        self._encode = Program(self.lanes, "encode", partial(encode_portrait, face))
        self._sample = Program(self.lanes, "sample", sample)
        self._decode = Program(self.lanes, "decode", partial(decode_frames, face))
        self._compiled = False

    @property
    def identity(self) -> str:
        """Digest of the config and a sample of the weights: equal for equal models."""
        digest = hashlib.sha256(json.dumps(to_dict(self.config), sort_keys=True).encode())
        for leaf in jax.tree.leaves(self._params):
            digest.update(np.asarray(leaf).ravel()[:16].tobytes())
        return digest.hexdigest()[:16]

    @property
    def programs(self) -> dict[str, int]:
        """Number of programs of each stage that were compiled so far."""
        stages = {
            "encode": self._encode,
            "encode_audio": self.audio_encoder.encode,
            "measure_audio": self.audio_encoder.measure,
            "sample": self._sample,
            "decode": self._decode,
        }
        return {name: program.compiled for name, program in stages.items()}

    def compile(self, report: Reporter) -> None:
        """Build every program, or fetch it from the compile cache; later calls do nothing."""
        if self._compiled:
            return
        lanes, size = len(self.lanes), self.config.face.image_size
        with report.stage("compile", 4) as advance:
            params = self._params["face"]
            image = jax.ShapeDtypeStruct((lanes, size, size, 3), jnp.uint8)
            source = self._encode.compile(params, image).out_info
            advance(1)
            rows = lanes * self.config.inference.decode_batch
            vectors = jax.ShapeDtypeStruct((rows, self.config.face.motion_dim), jnp.float32)
            source = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), source)
            self._decode.compile(params, source, vectors)
            advance(1)
            features = self.audio(np.zeros(1, np.float32))
            advance(1)
            # The sampler skips windows without valid audio: run on none of them, it only compiles.
            self.generate_motion([None], [features[:0]], [Controls()], [0])
            advance(1)
        self._compiled = True

    def encode(self, portrait: PortraitArray) -> Source:
        """Appearance volume, identity and pose of a portrait (size, size, 3), b = 1."""
        return self.encode_all([portrait])[0]

    def encode_all(self, portraits: Sequence[PortraitArray]) -> list[Source]:
        """`encode` of each portrait, one on each device at a time."""
        sources: list[Source] = []
        for some in batched(portraits, len(self.lanes)):
            images = self.lanes.stack([portrait[None] for portrait in some])
            sources += self.lanes.split(self._encode(self._params["face"], images))[: len(some)]
        return sources

    @cached_property
    def motion_encoder(self) -> MotionEncoder:
        """Frames to [pose, z_dyn], for runs that a video drives."""
        return MotionEncoder(self.config, self._params["face"], devices=self.lanes.devices[:1])

    def audio(self, waveform: Samples) -> Float[np.ndarray, "t a"]:
        """Audio features of a whole clip of 16 kHz samples, one per frame (25 Hz)."""
        return self.audio_encoder.whole(waveform)

    def motion_stream(
        self,
        sources: Sequence[Source | None],
        controls: Sequence[Controls],
        seeds: Sequence[int],
        poses: Sequence[np.ndarray | None] | None = None,
        windows: int | None = None,
    ) -> MotionStream:
        """Motion of up to `batch` clips, ready to decode, `windows` windows a call (default: the
        config's, `frames_per_call` frames).

        sources: the portrait of each clip; with a model that has neutral starts
        (`vasa_jax.extensions.neutral_context`) the clip begins with its head. None, and all clips
        of other models, begin from the null context and stay as sampled. poses: (t, 7) tracks to
        keep instead of generated ones; such clips have no neutral start.
        """
        poses = list(poses) if poses is not None else [None] * len(seeds)
        spare = self.batch - len(seeds)
        clips = [
            *(wanted.for_clip(pose) for wanted, pose in zip(controls, poses, strict=True)),
            *[ClipControls()] * spare,
        ]
        rows = np.asarray([*seeds, *[0] * spare], np.uint32)
        params = {"params": self._params["motion"]}, self._weights

        def step(carry, inputs):
            if not carry.number.ndim:  # the first call: every lane counts for itself
                carry = carry._replace(number=np.full(len(self.lanes), carry.number, np.int32))
            return self._sample(params, carry, inputs, rows)

        config, dim = self.config.motion, self.config.audio.dim
        carry = null_carry(self.batch, config, self.config.face.motion_dim, dim)
        anchors: list[Placement | None] = [None] * len(seeds)
        if has_neutral_start(self.config):
            contexts: list[InitialContext | None] = [None] * self.batch
            for i, (source, pose) in enumerate(zip(sources, poses, strict=True)):
                if source is None or source.pose is None or pose is not None:
                    continue
                where = source.pose, self.stats, controls[i].distance
                contexts[i] = initial_context(*where, self._silence)
                anchors[i] = PortraitAnchor(*where)
            carry = with_initial_context(carry, contexts, self.stats)
        sampling = ClipSampling(
            step,
            clips,
            config,
            self.stats,
            dim,
            windows or self.config.inference.windows_per_call,
            carry,
        )
        return MotionStream(sampling, anchors)

    def digests(self, sound: Samples, first: int, frames: int) -> UInt[np.ndarray, " windows"]:
        """Digests of the sound of `frames` frames from `first` on, one per window, for a
        `motion_stream`: so speech, not the seed alone, decides the noise (`vasa_jax.audio.digest`).
        """
        return sound_digests(sound, first, frames, self.config.motion.window)

    @property
    def frames_per_call(self) -> int:
        """Frames of each clip that one call of the sampler makes."""
        return self.config.motion.window * self.config.inference.windows_per_call

    def generate_motion(
        self,
        sources: Sequence[Source | None],
        features: Sequence[np.ndarray],
        controls: Sequence[Controls],
        seeds: Sequence[int],
        poses: Sequence[np.ndarray | None] | None = None,
        sounds: Sequence[Samples] | None = None,
    ) -> list[Float[np.ndarray, "t m"]]:
        """[pose, z_dyn] of up to `batch` whole clips, ready for `decode`; a clip's result depends
        on its own arguments alone, see `motion_stream`.

        features: (t, a) per clip, t may be 0. sounds: the 16 kHz samples of the features, which the
        noise depends on in `generate`; without them it depends on the seed alone.
        """
        check_features(features)
        stream = self.motion_stream(sources, controls, seeds, poses)
        size, silence = self.frames_per_call, np.zeros(0, np.float32)
        sounds = [silence] * len(features) if sounds is None else sounds
        parts = []
        for first in range(0, max(1, *map(len, features)), size):
            some = [clip[first : first + size] for clip in features]
            digests = [
                self.digests(sound, first, len(clip))
                for sound, clip in zip(sounds, some, strict=True)
            ]
            parts.append(stream(some, digests))
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def encode_audio_chunk(
        self, waveform: Float[np.ndarray, "1 n"], num_samples: int
    ) -> Float[np.ndarray, "1 t a"]:
        """Features of one chunk of prepared audio, of which `num_samples` are not padding."""
        row = self.lanes.stack([(waveform, np.array([num_samples], np.int32), None)])
        features = self.audio_encoder.encode(self._params["audio"], *row)
        return np.asarray(self.lanes.split(features)[0], np.float32)

    @property
    def audio_receptive_frames(self) -> int | None:
        """Frames of audio on each side that a feature depends on; None: its whole chunk."""
        seconds = getattr(self._networks.audio, "receptive_seconds", None)
        return None if seconds is None else math.ceil(seconds * FPS)

    def prepare_audio(self, waveform: Float[np.ndarray, " n"], gain: float) -> Samples:
        """Audio as `encode_audio_chunk` takes it. gain: see `audio.level`."""
        audio = self._networks.audio
        if gain != 1 and not audio.sets_level:
            waveform = waveform * np.float32(gain)
        return audio.prepare(waveform)

    @cached_property
    def _silence(self) -> Float[np.ndarray, "k a"]:
        """Audio features of a silent context."""
        frames = self.config.motion.context
        return self.audio(np.zeros(frames * SAMPLES_PER_FRAME, np.float32))[:frames]

    def decode(self, source: Source, motion: Float[np.ndarray, "t m"]) -> Iterator[np.ndarray]:
        """uint8 frames in batches of at most `decode_batch`."""
        frames = BlockMaker(0, self.lanes.copies(source), self.config.inference.decode_batch)
        for _, batch in self.decode_blocks(frames(motion, last=True)):
            yield batch

    def decode_blocks(self, blocks: Iterable[Block]) -> Iterator[tuple[int, Frames]]:
        """(clip, uint8 frames) of each block in order, one block per device at a time.

        Frames of a call are copied to the host while the devices work on the next call.
        """
        pending: tuple[jax.Array, list[Block]] | None = None
        for some in batched(blocks, len(self.lanes)):
            sources = self.lanes.stack([block.sources[i] for i, block in enumerate(some)])
            vectors = self.lanes.stack([block.vectors for block in some])
            ahead = self._decode(self._params["face"], sources, vectors)
            if pending is not None:
                yield from self._fetched(*pending)
            pending = ahead, some
        if pending is not None:
            yield from self._fetched(*pending)

    def _fetched(self, made: jax.Array, blocks: list[Block]) -> Iterator[tuple[int, Frames]]:
        for frames, block in zip(self.lanes.split(made), blocks, strict=False):
            yield block.clip, np.asarray(frames)[: block.frames]
