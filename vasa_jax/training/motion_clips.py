"""Windows for stage 2 out of whole clips, as `vasa-jax extract-motion` writes them."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vasa_jax.audio.augment import augment_channel
from vasa_jax.audio.frozen import FrozenEncoder, stored_features
from vasa_jax.audio.level import at_speech_level
from vasa_jax.audio.protocol import num_frames
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.extensions.neutral_context import blend_from_neutral
from vasa_jax.extensions.residual_prior import correlations
from vasa_jax.media.files import write_whole
from vasa_jax.motion.seen import SeenLabels, from_json
from vasa_jax.motion.stats import MotionStats
from vasa_jax.training.motion_batch import MotionBatch, audio_margin, motion_batch_struct
from vasa_jax.typing import SAMPLES_PER_FRAME, Bool, Float

INDEX_NAME = "stats.json"
CLIPS_IN_MEMORY = 16
LABELS = ("gaze", "distance", "emotion")
SPLITS = ("train", "val", "test")


class Index(NamedTuple):
    """Metadata of a folder of clips."""

    names: tuple[str, ...]
    frames: tuple[int, ...]  # of each clip
    stats: MotionStats  # of all frames
    seen: SeenLabels  # labels that occur


class _Window(NamedTuple):
    """One row of a `MotionBatch`, in host memory: the same fields."""

    motion: np.ndarray
    valid: np.ndarray
    gaze: np.ndarray
    distance: np.ndarray
    emotion: np.ndarray
    has_gaze: np.bool_
    has_distance: np.bool_
    has_emotion: np.bool_
    audio: np.ndarray | None = None
    waveform: np.ndarray | None = None
    heard: np.ndarray | None = None
    rests: np.bool_ | None = None


class _Place(NamedTuple):
    """A window of the endless order."""

    epoch: int
    place: int  # in the epoch
    clip: str
    start: int  # first frame


def find_clips(folder: Path, split: str = "train") -> tuple[Path, list[Path]]:
    """The folder of a split, and its clips in order; a folder without splits is all of them.

    Raises UserError for a folder without .npz files.
    """
    folder = Path(folder)
    if any((folder / name).is_dir() for name in SPLITS):
        folder = folder / split
    files = sorted(f for f in folder.rglob("*.npz") if not f.name.startswith("."))
    if not files:
        raise UserError(f"{folder}: holds no clips (.npz); make them by `vasa-jax extract-motion`")
    return folder, files


def is_clip_folder(folder: Path) -> bool:
    """Whether a folder holds whole clips, and not ready batches of windows (`NpzShards`)."""
    try:
        file = find_clips(folder)[1][0]
        with np.load(file, allow_pickle=False) as stored:
            return "motion" in stored and "valid" not in stored and stored["motion"].ndim == 2
    except Exception:  # a broken file is reported by whoever reads it
        return False


def read_clip(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a clip; sound as float32 in [-1, 1], at the level that inference hears.

    motion (t, m); waveform (n,), 16 kHz; optional: audio (t, a), features of a frozen encoder;
    gaze (2,), radians; distance (), 1 is the data's mean; emotion (8,), shares of `EMOTIONS`.
    Raises UserError for a file that cannot be read or lacks motion, naming it.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = {"motion", "waveform", "audio", *LABELS} & set(stored.files)
            clip = {name: stored[name] for name in names}
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{path}: is not a readable clip ({error}); extract it anew") from None
    motion = clip.get("motion")
    if motion is None or motion.ndim != 2 or not len(motion) or motion.dtype.kind != "f":
        raise UserError(
            f"{path}: lacks a float array `motion` of one vector per frame, so it is "
            "no clip; extract it anew"
        )
    if "waveform" in clip and clip["waveform"].dtype == np.int16:
        clip["waveform"] = clip["waveform"].astype(np.float32) / 32767
    if "waveform" in clip and clip["waveform"].ndim == 1 and clip["waveform"].dtype.kind == "f":
        clip["waveform"] = at_speech_level(clip["waveform"])
    return clip


def index_clips(folder: Path, files: Sequence[Path]) -> Index:
    """Lengths and statistics of all clips, from `stats.json` beside them or made anew.

    It is made anew when a clip was added, removed or changed since. One clip is in memory at a
    time. Raises UserError for broken clips and for motion that is not finite.
    """
    names = tuple(file.relative_to(folder).as_posix() for file in files)
    marks = [
        (name, f.stat().st_size, f.stat().st_mtime_ns) for name, f in zip(names, files, strict=True)
    ]
    key = hashlib.sha256(json.dumps(marks).encode()).hexdigest()
    cache = folder / INDEX_NAME
    try:
        found = json.loads(cache.read_text())
        if found["key"] == key:
            stats = MotionStats(*(np.asarray(found[k], np.float32) for k in ("mean", "std")))
            if (seen := from_json(found["labels"])) is not None:
                return Index(names, tuple(found["frames"]), stats, seen)
    except (OSError, ValueError, LookupError, TypeError):
        pass  # no cache, or not ours
    frames, stats, seen = _measure(files)
    lists = {k: np.asarray(v).tolist() for k, v in stats._asdict().items()}
    if not cache.exists() or _is_cache(cache):
        content = {"key": key, "frames": frames, **lists, "labels": seen.to_json()}
        write_whole(cache, "statistics", json.dumps(content) + "\n")
    return Index(names, tuple(frames), stats, seen)


def _is_cache(path: Path) -> bool:
    """Whether statistics of ours lie there: a file of somebody else stays."""
    try:
        return {"key", "frames", "mean", "std"} <= set(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return False


def _features_of(file: Path) -> str | None:
    """The audio encoder that `extract-motion` noted (`FrozenEncoder.identity`), if there is one."""
    if "audio" not in read_clip(file):
        return None
    model = next(iter(_model(file)), "")
    return model.partition("+")[2] or None


def _model(file: Path) -> set[str]:
    """The model that `extract-motion` noted, if this clip is of its making."""
    with np.load(file, allow_pickle=False) as stored:
        if "record" not in stored:
            return set()
        try:
            return {str(json.loads(str(stored["record"]))["model"])}
        except (ValueError, LookupError, TypeError):
            return set()


def _measure(files: Sequence[Path]) -> tuple[list[int], MotionStats, SeenLabels]:
    frames: list[int] = []
    models: set[str] = set()
    seen = SeenLabels()
    total, mean, squares = 0, np.zeros(()), np.zeros(())
    for file in files:
        clip = read_clip(file)
        motion, seen = clip["motion"].astype(np.float64), seen.add(clip)
        if not np.isfinite(motion).all():
            raise UserError(
                f"{file}: its motion holds NaN or infinity; extract it anew, or remove it"
            )
        if frames and motion.shape[1:] != mean.shape:
            raise UserError(
                f"{file}: holds vectors of {motion.shape[1]} numbers, the clips before "
                f"it {len(mean)}; keep one face model's clips in a "
                "folder"
            )
        models |= _model(file)
        if len(models) > 1:
            raise UserError(
                f"{file}: was extracted with another model than the clips before it; "
                "run extract-motion again for the whole folder"
            )
        # Chan, Golub and LeVeque (1979): exact for a constant shift, unlike sums of squares.
        count, here = len(motion), motion.mean(0)
        delta = here - mean
        total += count
        mean = mean + delta * count / total
        squares = squares + ((motion - here) ** 2).sum(0)
        squares = squares + delta**2 * count * (total - count) / total
        frames.append(count)
    std = np.sqrt(squares / total)
    # A dimension that never moves is not scaled; the rule of `motion.stats.fit_stats`.
    std = np.where(std > 1e-6 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return frames, MotionStats(mean.astype(np.float32), std.astype(np.float32)), seen


class MotionClips:
    """An endless, shuffled, checkpointable iterator of `MotionBatch` over a folder of clips.

    A clip of t frames gives max(1, t // W) windows an epoch, each from a random place; K context
    frames come before, not valid before the clip's start, nor are frames past its end. All windows
    are shuffled anew in every epoch; an epoch's last may share a batch with the next one's first.
    Every draw depends on seed, epoch and place alone, so the batches are the same on any number of
    hosts.

    batch: the global batch size (default: the config's); each host gives its rows. encoder: for
    clips that hold sound and not its features, where the config's audio encoder is frozen; every
    sound is encoded once, as inference encodes it, and its features are kept beside the clips.
    process_index, process_count: this host (default: as JAX says).
    Attributes: struct, the global batch's shapes; stats and seen (labels), of the whole folder;
    clips, by name; features, the frozen encoder whose features these are, where it is known.

    Raises UserError for folders without clips, clips that lack what the config needs, and features
    that are not of `encoder`.
    """

    any_hosts = True
    """A place is the same on every host, however many there are."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        batch: int | None = None,
        seed: int = 0,
        *,
        split: str = "train",
        encoder: FrozenEncoder | None = None,
        process_index: int | None = None,
        process_count: int | None = None,
    ):
        host = jax.process_index() if process_index is None else process_index
        hosts = jax.process_count() if process_count is None else process_count
        size = config.train_motion.batch if batch is None else batch
        self._folder, files = find_clips(folder, split)
        if size % hosts:
            raise UserError(f"a batch of {size} cannot be shared by {hosts} hosts")
        self.struct: MotionBatch = motion_batch_struct(config, size)
        self._index = index_clips(self._folder, files)
        self.stats, self.seen = self._index.stats, self._index.seen
        dim = config.face.motion_dim
        if len(self.stats.mean) != dim:
            raise UserError(
                f"{self._folder}: holds vectors of {len(self.stats.mean)} numbers, "
                f"config {config.name!r} has {dim}; extract the motion with this "
                "config's face model"
            )
        self._context, self._window = config.motion.context, config.motion.window
        self._margin = audio_margin(config)
        train = split == "train"
        self._augment = config.train_motion.augment_audio and train
        self._rest_share = config.motion.extensions.neutral_start if train else 0.0
        self._encoder = None if config.audio.encoder == "mel" else encoder
        self._silence: np.ndarray | None = None  # features of a silent context
        self.features: str | None = None
        if self.struct.waveform is None:
            self._check_features(config, files[0])
        self.clips = self._index.names
        self._lengths = np.asarray(self._index.frames)
        counts = np.maximum(1, self._lengths // self._window)
        self._owner = np.repeat(np.arange(len(self.clips)), counts)
        self._size, self._seed = size, seed
        self._rows = range(host * size // hosts, (host + 1) * size // hosts)
        self._epoch, self._place = 0, 0
        self._order: tuple[int, np.ndarray, np.ndarray] | None = None
        self._read = lru_cache(CLIPS_IN_MEMORY)(self._open)

    def _check_features(self, config: Config, file: Path) -> None:
        """`index_clips` made sure that all clips are of one making."""
        encoder, found = self._encoder, _features_of(file)
        if encoder is not None and found is not None and found != encoder.identity:
            raise UserError(
                f"{file}: its audio features come from other weights, chunks or "
                "precision than those given; give what extract-motion had, or run it "
                "again with these"
            )
        self.features = found if encoder is None else encoder.identity
        if not self._rest_share:
            return
        if encoder is None:
            raise UserError(
                f"motion.extensions.neutral_start={self._rest_share:g} needs the features of "
                f"silence; give the weights of {config.audio.encoder} by --audio-weights"
            )
        silence = np.zeros(self._context * SAMPLES_PER_FRAME, np.float32)
        self._silence = encoder.encode(silence)[: self._context]

    def _open(self, name: str) -> dict[str, np.ndarray]:
        clip = read_clip(self._folder / name)
        if self.struct.waveform is None and "audio" not in clip and self._encoder is not None:
            samples = len(clip["motion"]) * SAMPLES_PER_FRAME
            sound = self._field(name, clip, "waveform", None)[:samples]
            # Silence where the sound ends early; not within a frame, which would change what the
            # encoder takes over the whole clip.
            if num_frames(len(sound)) < len(clip["motion"]):
                sound = np.pad(sound, (0, samples - len(sound)))
            clip["audio"] = stored_features(self._encoder, sound, self._folder)
        return clip

    def __iter__(self):
        return self

    def __next__(self) -> MotionBatch:
        windows = [self._next_window() for _ in range(self._size)]
        rows = [self._row(windows[row]) for row in self._rows]
        columns: dict[str, Any] = {
            name: None if column[0] is None else np.stack(column)
            for name, column in zip(_Window._fields, zip(*rows, strict=True), strict=True)
        }
        return MotionBatch(**columns)

    def _row(self, window: _Place) -> _Window:
        draw = np.random.default_rng((self._seed, 0, window.epoch, window.place))
        row = self._example(window.clip, window.start)
        rests = draw.random() < self._rest_share
        if self._augment and row.waveform is not None:
            row = row._replace(waveform=augment_channel(draw, row.waveform))
        if rests:
            row = self._after_rest(row)
        return row

    def _after_rest(self, row: _Window) -> _Window:
        """The window as a clip's first, after a neutral and silent context."""
        context = self._context
        valid = row.valid.copy()
        valid[:context] = True
        motion = blend_from_neutral(row.motion, np.asarray(self.stats.mean), context)
        row = row._replace(motion=motion, valid=valid)
        if row.audio is not None and self._silence is not None:
            return row._replace(audio=np.concatenate([self._silence, row.audio[context:]]))
        assert row.heard is not None, "a window has features or a waveform"
        heard = row.heard.copy()
        heard[: context + self._margin] = False
        return row._replace(heard=heard, rests=np.bool_(True))

    def _next_window(self) -> _Place:
        if self._order is None or self._order[0] != self._epoch:
            draw = np.random.default_rng((self._seed, 0, self._epoch))
            order = draw.permutation(len(self._owner))
            places = np.maximum(self._lengths[self._owner] - self._window, 0) + 1
            self._order = self._epoch, order, draw.integers(0, places)
        _, order, starts = self._order
        window = order[self._place]
        clip = self.clips[self._owner[window]]
        found = _Place(self._epoch, self._place, clip, int(starts[window]))
        self._place += 1
        if self._place == len(order):
            self._epoch, self._place = self._epoch + 1, 0
        return found

    def _example(self, name: str, start: int) -> _Window:
        clip = self._read(name)
        motion = clip["motion"]
        frames = np.arange(start - self._context, start + self._window)
        valid = (frames >= 0) & (frames < len(motion))
        inside = np.clip(frames, 0, len(motion) - 1)
        fields: dict[str, Any] = {"motion": motion[inside].astype(np.float32), "valid": valid}
        for key in LABELS:
            label = self._label(name, clip, key)
            shape = getattr(self.struct, key).shape[1:]
            fields[key] = np.zeros(shape, np.float32) if label is None else label
            fields[f"has_{key}"] = np.bool_(label is not None)
        if self.struct.audio is None:
            fields["waveform"], fields["heard"] = self._sound(name, clip, int(frames[0]))
            fields["rests"] = None if self.struct.rests is None else np.bool_(False)
        else:
            features = self._field(name, clip, "audio", (len(motion), self.struct.audio.shape[2]))
            fields["audio"] = np.where(valid[:, None], features[inside], 0).astype(np.float32)
        return _Window(**fields)

    def _sound(
        self, name: str, clip: dict, first: int
    ) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " g"]]:
        """The samples of the window with its margins, zero outside of the clip, and which of their
        frames the clip has."""
        assert self.struct.heard is not None
        assert self.struct.waveform is not None
        sound, total = self._field(name, clip, "waveform", None), len(clip["motion"])
        sound = sound[: total * SAMPLES_PER_FRAME]
        frames = np.arange(self.struct.heard.shape[1]) + first - self._margin
        low = (first - self._margin) * SAMPLES_PER_FRAME
        found = np.zeros(self.struct.waveform.shape[1], np.float32)
        begin, end = max(low, 0), min(low + len(found), len(sound))
        if begin < end:
            found[begin - low : end - low] = sound[begin:end]
        return found, (frames >= 0) & (frames < total)

    def _label(self, name: str, clip: dict, key: str) -> Float[np.ndarray, " c"] | None:
        if key not in clip:
            return None
        size = getattr(self.struct, key).shape[1]
        value = np.asarray(clip[key], np.float32).reshape(-1)
        if value.shape != (size,) or not np.isfinite(value).all():
            raise UserError(
                f"{self._folder / name}: its label {key!r} must be {size} finite "
                f"numbers, it is {value.tolist()[:9]}"
            )
        return value

    def _field(self, name: str, clip: dict, key: str, shape: tuple | None) -> np.ndarray:
        value = clip.get(key)
        fits = value is not None and value.dtype.kind == "f"
        if (
            value is None
            or not fits
            or (value.ndim != 1 if shape is None else value.shape != shape)
        ):
            needed = "one row of samples" if shape is None else f"of shape {list(shape)}"
            how = " and --audio-weights" if key == "audio" else ""
            raise UserError(
                f"{self._folder / name}: needs an array {key!r}, {needed}; extract the "
                f"clip anew with this config{how}"
            )
        return value

    def correlations(self) -> Float[np.ndarray, "w m"]:
        """Of all clips' motion, for `motion.extensions.residual_prior`; reads every clip."""
        clips = (read_clip(self._folder / name)["motion"] for name in self._index.names)
        return correlations(clips, np.asarray(self.stats.std), self._window)

    def state(self) -> dict[str, int]:
        """The place of the next window."""
        return {"epoch": self._epoch, "place": self._place, "windows": len(self._owner)}

    def restore(self, state: dict[str, int]) -> None:
        """Go on at a place; raises UserError unless the folder holds the same clips."""
        if set(state) != {"epoch", "place", "windows"} or state["windows"] != len(self._owner):
            raise UserError(
                f"{self._folder}: holds other clips than when the run was saved; put them back, or "
                "begin the data anew with --restart-data"
            )
        self._epoch, self._place = int(state["epoch"]), int(state["place"])
