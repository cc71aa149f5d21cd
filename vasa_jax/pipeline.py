"""The Python interface: `vasa_jax.Pipeline`, from files or arrays to talking faces.

    pipe = vasa_jax.Pipeline.from_pretrained("demo")
    clip = pipe("face.jpg", "speech.wav", seed=0, gaze=(10, 0))
    clip.save("out.mp4")

Frames are those of `vasa-jax generate` and `batch`, here as one array; the commands stream clips of
any length.
"""

import math
import os
import tempfile
import wave
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.bundle import Bundle
from vasa_jax.compile_cache import enable_compile_cache
from vasa_jax.config import DEFAULT_NAME, Config
from vasa_jax.errors import UserError
from vasa_jax.inference.functions import pure_functions
from vasa_jax.inference.generate import clip_frames, crop_photo, load_portrait, made_by
from vasa_jax.inference.hub import find_bundle, push_bundle, save_as
from vasa_jax.inference.pipeline import Pipeline as Programs
from vasa_jax.inference.portrait import Portrait
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render
from vasa_jax.inference.request import Controls, Picture, check_seed
from vasa_jax.inference.video_file import write_video
from vasa_jax.media.audio import MIN_SECONDS, open_audio
from vasa_jax.typing import FPS, SAMPLE_RATE, Float, Frames, UInt8

__all__ = ["Pipeline", "TalkingFace"]

Number = float | int
Photo = str | os.PathLike | np.ndarray
"""A file, or RGB as uint8 (h, w, 3)."""
Speech = str | os.PathLike | np.ndarray | tuple[np.ndarray, int]
"""A file with sound; samples at 16 kHz, (n,) in [-1, 1]; or samples and their rate in Hz."""


class _Sound(NamedTuple):
    """Speech of one clip."""

    waveform: Samples  # 16 kHz
    seconds: float
    path: Path | None  # the file with the soundtrack; None: the waveform is the soundtrack


class TalkingFace:
    """frames: (t, size, size, 3) uint8 at `fps` frames a second; `save` adds the sound."""

    fps = FPS

    def __init__(
        self,
        frames: Frames,
        portrait: Portrait,
        picture: Picture,
        sound: _Sound,
        details: dict[str, Any],
    ):
        self.frames, self._portrait, self._picture = frames, portrait, picture
        self._sound, self._details = sound, details

    def __len__(self) -> int:
        return len(self.frames)

    def save(
        self, path: str | os.PathLike, *, side_by_side: bool = False, paste_back: bool = False
    ):
        """Write a video (.mp4, .mov, .mkv) with the speech; whole or not at all.

        side_by_side: beside the still portrait. paste_back: within the whole photo.
        Raises UserError where it cannot be written.
        """
        picture = replace(self._picture, side_by_side=side_by_side, paste_back=paste_back)
        with tempfile.TemporaryDirectory() as folder:
            track = self._sound.path
            if track is None:
                track = Path(folder, "speech.wav")
                _write_wave(track, self._sound.waveform[:])
            write_video(
                Path(path),
                iter([self.frames]),
                self._portrait,
                picture,
                self._sound.seconds,
                track,
                self._details,
                Reporter("quiet"),
            )


class Pipeline:
    """A model with its weights: call it to make talking faces, or use its stages.

    Stages, as pure jitted functions of `params` (shapes in `vasa_jax.inference.functions`):

        source = pipe.encode(pipe.params, images)                  # (b, size, size, 3) in [0, 1]
        features = pipe.audio_features(pipe.params, waveform)      # (b, n) to (b, t, a)
        motion = pipe.sample(pipe.params, source, features, keys)  # (b, t, m): pose, z_dyn
        images = pipe.decode(pipe.params, source, motion[0])       # (t, size, size, 3) in [0, 1]

    batch: clips that a device samples together. devices: of this host (default: the first).
    Programs are compiled at the first call.
    """

    def __init__(self, bundle: Bundle, *, batch: int = 1, devices: Sequence[Any] | None = None):
        self.bundle = bundle
        self.programs = Programs(bundle, batch, devices)
        self.encode, self.audio_features, self.sample, self.decode = pure_functions(
            bundle.config, bundle.stats
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike = DEFAULT_NAME,
        *,
        overrides: Sequence[str] = (),
        batch: int = 1,
        devices: Sequence[Any] | None = None,
    ) -> "Pipeline":
        """Trained weights by name.

        name: a config with shipped weights ("demo"; also those of a wheel `vasa-jax-weights-NAME`),
        a folder of `vasa-jax export` or `save_pretrained`, or a repository of the Hugging Face hub,
        "OWNER/NAME" or "hf://OWNER/NAME", each also with "@REVISION".
        overrides: as `--set`, for example "diffusion.steps=10". Compiled programs are kept in the
        compile cache (`vasa_jax.compile_cache`). Raises UserError where no weights are found.
        """
        enable_compile_cache()
        bundle = find_bundle(name, tuple(overrides))
        if not bundle.trained:
            raise UserError(
                f"{name}: holds parameters drawn from a seed, not trained ones; give the folder "
                "that `vasa-jax export` writes"
            )
        return cls(bundle, batch=batch, devices=devices)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        *,
        dtype: str = "float32",
        repo_id: str | None = None,
        push_to_hub: bool = False,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write config and weights as `from_pretrained` reads them; whole or not at all.

        dtype: float32, bfloat16, or int8 (kernels in 8 bits, the rest in bfloat16). push_to_hub:
        upload them as well, to `repo_id` (default: the folder's name), and return the address.
        """
        folder = Path(save_directory)
        save_as(folder, self.bundle, dtype)
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or folder.name, dtype=dtype, **push_to_hub_kwargs)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        dtype: str = "float32",
        commit_message: str = "Push model using vasa_jax.",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        delete_patterns: list[str] | str | None = None,
    ) -> str:
        """Upload config, weights and, if it has none, a card to a repository of the Hugging Face
        hub, which is created if needed; returns the commit's address.

        Arguments as of `huggingface_hub.ModelHubMixin.push_to_hub`. Raises UserError where the hub
        refuses or cannot be reached.
        """
        return push_bundle(
            self.bundle,
            repo_id,
            dtype,
            token=token,
            private=private,
            branch=branch,
            commit_message=commit_message,
            create_pr=create_pr,
            allow_patterns=allow_patterns,
            ignore_patterns=ignore_patterns,
            delete_patterns=delete_patterns,
        )

    @property
    def config(self) -> Config:
        """The model's config, overrides applied."""
        return self.bundle.config

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the networks as a PyTree: {"face": …, "audio": …, "motion": …}."""
        return self.bundle.params

    def __call__(
        self,
        portrait: Photo | list[Photo],
        speech: Speech | list[Speech],
        *,
        seed: int | list[int] = 0,
        gaze: tuple[Number, Number] | None = (0, 0),
        distance: Number | None = 1,
        emotion: Mapping[str, Number] | None = None,
        crop: str = "auto",
        face: int | None = None,
    ) -> "TalkingFace | list[TalkingFace]":
        """A talking face, or a list of them where `portrait`, `speech` or `seed` is a list; one
        value of the others then serves all. A clip does not depend on those beside it.

        gaze, distance, emotion: see `vasa_jax.inference.request.Controls`; emotion by name.
        crop: "auto", around the face (`face`: which, 1 is the largest), or "none", the whole photo.
        Raises UserError for what cannot be read, and photos without a face.
        """
        many = any(isinstance(given, list) for given in (portrait, speech, seed))
        portraits, speeches, seeds = _side_by_side(portrait, speech, seed)
        controls = Controls(
            None if gaze is None else (float(gaze[0]), float(gaze[1])),
            None if distance is None else float(distance),
            None if emotion is None else tuple((k, float(v)) for k, v in emotion.items()),
        )
        picture, report = Picture(crop=crop, face=face), Reporter("quiet")
        for number in seeds:
            check_seed(number)
        size = self.config.face.image_size
        photos = [_read_photo(photo, picture, size, report) for photo in portraits]
        sounds = [_read_speech(sound) for sound in speeches]
        made: list[TalkingFace] = []
        for first in range(0, len(photos), self.programs.batch):
            part = slice(first, first + self.programs.batch)
            made += self._make(photos[part], sounds[part], seeds[part], controls, picture, report)
        return made if many else made[0]

    def _make(
        self,
        photos: list[Portrait],
        sounds: list[_Sound],
        seeds: list[int],
        controls: Controls,
        picture: Picture,
        report: Reporter,
    ) -> list[TalkingFace]:
        self.programs.compile(report)
        sources = self.programs.encode_all([photo.crop.image for photo in photos])
        clips = [
            Clip(source, s.waveform, clip_frames(s.waveform, s.seconds), controls, seed)
            for source, s, seed in zip(sources, sounds, seeds, strict=True)
        ]
        frames: list[list[np.ndarray]] = [[] for _ in clips]
        for number, found in render(clips, self.programs, report):
            if isinstance(found, UserError):
                raise found
            frames[number].append(found)
        known = {**made_by(self.programs), "controls": asdict(controls)}
        return [
            TalkingFace(np.concatenate(f), photo, picture, sound, {**known, "seed": seed})
            for f, photo, sound, seed in zip(frames, photos, sounds, seeds, strict=True)
        ]


def _side_by_side(portrait: Any, speech: Any, seed: Any) -> list[list]:
    """Lists of equal length from single values and lists."""
    given = {"portraits": portrait, "speeches": speech, "seeds": seed}
    lengths = {name: len(value) for name, value in given.items() if isinstance(value, list)}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        counts = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise UserError(f"{counts}: give lists of one length, or one value for all")
    count = max(lengths.values(), default=1)
    return [v if isinstance(v, list) else [v] * count for v in given.values()]


def _read_photo(photo: Photo, picture: Picture, size: int, report: Reporter) -> Portrait:
    if not isinstance(photo, np.ndarray):
        return load_portrait(Path(photo), picture, size, report)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise UserError(
            f"portrait of shape {photo.shape}, {photo.dtype}: give RGB as uint8, (height, width, 3)"
        )
    return crop_photo(np.ascontiguousarray(photo), Path("portrait"), picture, size, report)


def _read_speech(speech: Speech) -> _Sound:
    if isinstance(speech, str | os.PathLike):
        clip = open_audio(speech)
        return _Sound(clip.waveform, clip.seconds, Path(speech))
    samples, rate = speech if isinstance(speech, tuple) else (speech, SAMPLE_RATE)
    samples = np.asarray(samples)
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise UserError(
            f"speech of shape {samples.shape}, {samples.dtype}: give mono samples as "
            "floats in [-1, 1]"
        )
    if not np.isfinite(samples).all():
        raise UserError("speech holds NaN or infinite samples")
    if len(samples) < MIN_SECONDS * rate:
        raise UserError(
            f"speech of {len(samples) / rate:.3f} s is too short; give at least {MIN_SECONDS:g} s"
        )
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly

        common = math.gcd(SAMPLE_RATE, int(rate))
        samples = resample_poly(samples, SAMPLE_RATE // common, int(rate) // common)
    samples = np.clip(samples, -1, 1).astype(np.float32)
    return _Sound(samples, len(samples) / SAMPLE_RATE, None)


def _write_wave(path: Path, waveform: Float[np.ndarray, " n"]) -> None:
    """16-bit mono."""
    pcm: UInt8[np.ndarray, " b"] = np.round(waveform * 32767).astype("<i2").view(np.uint8)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm.tobytes())
