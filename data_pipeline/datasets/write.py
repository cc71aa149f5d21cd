"""Writing of a TFDS dataset in ArrayRecord from files of clips or groups, atomically."""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vasa_jax.data_pipeline.datasets import synthetic_heads, video_folder, voxceleb2
from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS, VERSION
from vasa_jax.data_pipeline.datasets.features import OPTIONAL
from vasa_jax.data_pipeline.swaps import LABELS, SwapGroup, read_group, write_group
from vasa_jax.errors import UserError
from vasa_jax.media.places import check_ours

BUILDERS = {
    voxceleb2.CARD.name: (voxceleb2, "VoxCeleb2"),
    video_folder.CARD.name: (video_folder, "VideoFolder"),
    synthetic_heads.CARD.name: (synthetic_heads, "SyntheticHeads"),
}
SPLITS = ("train", "val", "test")


def write_dataset(
    out: Path,
    builder: str,
    clips: Mapping[str, Sequence[Path]],
    description: str = "",
    *,
    advance: Callable[[int], None] | None = None,
    beam_runner: Any = None,
) -> Path:
    """Write the clips of each split ("train", "val", "test") as TFDS dataset `builder` under `out`.

    clips: files of `write_clip`. description joins the builder's own. advance: called with 1 after
    each clip. beam_runner: an Apache Beam runner that writes the shards in parallel.
    Returns the dataset's folder, `out`/BUILDER/[clips/]VERSION, which appears whole or not at all,
    and takes the place of an older one. A dataset that was made of the same files is left as it is.
    Records lie in an order that depends on the clips' names alone.

    Raises UserError for an unknown builder or split, no clips, broken files, two clips of one name,
    clips of different sizes, a person in two splits, and a folder that cannot be written.
    """
    return _write(Path(out), builder, CLIPS, clips, description, advance, beam_runner)


def write_swaps(
    out: Path,
    groups: Mapping[str, Sequence[Path]] | Iterable[SwapGroup],
    description: str = "",
    *,
    advance: Callable[[int], None] | None = None,
    beam_runner: Any = None,
) -> Path:
    """Write groups of swaps as `synthetic_heads/swaps` under `out`, as `write_dataset` does clips.

    groups: files of `write_group` per split; or the groups themselves, which all go to "train".
    """
    if isinstance(groups, Mapping):
        return _write(
            Path(out), "synthetic_heads", SWAPS, groups, description, advance, beam_runner
        )
    with _scratch(Path(out), ".groups.partial") as folder:
        files = []
        for number, group in enumerate(groups):
            files.append(folder / f"{number:08d}.npz")
            write_group(files[-1], group)
        return write_swaps(
            out, {"train": files}, description, advance=advance, beam_runner=beam_runner
        )


def check_place(out: Path, builder: str, kind: str = CLIPS) -> None:
    """Raise UserError where a dataset would replace something that vasa-jax did not write."""
    check_ours(_target(Path(out), builder, kind), "dataset of `vasa-jax`", _written_key)


def _target(out, name, kind):
    several = len(BUILDERS[name][0].CARD.kinds) > 1
    return out / name / (kind if several else "") / VERSION


def _write(out, name, kind, files, description, advance, beam_runner):
    if name not in BUILDERS:
        raise UserError(f"unknown dataset builder {name!r}; it is one of {', '.join(BUILDERS)}")
    if set(files) - set(SPLITS):
        raise UserError(
            f"unknown split {sorted(set(files) - set(SPLITS))[0]!r}; it is one of "
            f"{', '.join(SPLITS)}"
        )
    files = {split: [Path(f) for f in files[split]] for split in SPLITS if files.get(split)}
    if not files:
        raise UserError(f"{out}: there is no clip to write; the report says why all were left out")
    module, class_name = BUILDERS[name]
    card, target = module.CARD, _target(out, name, kind)
    key = _key(name, kind, files, description)
    if _written_key(target) == key:
        if advance is not None:
            advance(sum(map(len, files.values())))
        return target
    check_place(out, name, kind)
    files, index = _index(kind, files)
    index["key"] = key
    with _scratch(out, f".{name}.{kind}.partial") as scratch:
        options = {"config": kind} if len(card.kinds) > 1 else {}
        builder = getattr(module, class_name)(
            data_dir=scratch / "new",
            file_format="array_record",
            files=files,
            index=index,
            note=description,
            advance=None if beam_runner else advance,
            **options,
        )
        _prepare(builder, beam_runner, out)
        _swap_in(Path(builder.data_dir), target, scratch)
    return target


def _prepare(builder, beam_runner, out):
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(
        beam_runner=beam_runner,
        try_download_gcs=False,
        compute_stats=tfds.download.ComputeStatsMode.SKIP,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints its own banner
            builder.download_and_prepare(download_config=config)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); free some disk "
            "space or choose another folder"
        ) from None


@contextlib.contextmanager
def _scratch(out: Path, name: str):
    """A hidden folder in `out`, gone at the end; those that killed processes left go too."""
    folder = out / f"{name}-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.glob(f"{name}-*"):
            if not _alive(stale.name.rpartition("-")[2]):
                shutil.rmtree(stale, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); choose a folder "
            "that you may write to"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return int(process) != os.getpid()


def _swap_in(new: Path, target: Path, scratch: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.replace(target, scratch / "old")
    os.replace(new, target)


def _key(name, kind, files, description):
    marks = [
        (split, file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for split, paths in files.items()
        for file in sorted(paths)
        if file.exists() or _missing(file)
    ]
    words = json.dumps([VERSION, name, kind, description, marks])
    return hashlib.sha256(words.encode()).hexdigest()


def _missing(file):
    raise UserError(f"{file}: no such file; make it again")


def _written_key(target: Path) -> str | None:
    try:
        return json.loads((target / "metadata.json").read_text())["key"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _index(kind, files):
    """The files of each split in the order of their records, and what is known of these records
    without reading them: see `vasa_jax.data_pipeline.datasets.read.Index`."""
    head = _clip_head if kind == CLIPS else _swap_head
    ordered, splits, sizes, owners, seen = {}, {}, {}, {}, {}
    for split, paths in files.items():
        rows = []
        for path in paths:
            row = head(path)
            if row["id"] in seen:
                raise UserError(
                    f"{path}: is named {row['id']!r} like {seen[row['id']]}; names of "
                    "clips must differ"
                )
            seen[row["id"]] = path
            sizes.setdefault(row["size"], path)
            for person in row["identity"]:
                if owners.setdefault(person, split) != split:
                    raise UserError(
                        f"{path}: shows {person!r}, who is in splits "
                        f"{owners[person]!r} and {split!r}; splits must not share "
                        "a person"
                    )
            rows.append((hashlib.sha256(row["id"].encode()).hexdigest(), path, row))
        rows.sort(key=lambda r: r[0])
        ordered[split] = [path for _, path, _ in rows]
        table = [row for _, _, row in rows]
        splits[split] = {
            "id": [r["id"] for r in table],
            "identity": [r["identity"] for r in table],
            "frames": [r["frames"] for r in table],
            "distance": [r["distance"] for r in table],
            "mark": [r["mark"] for r in table],
            "has": {k: sum(k in r["has"] for r in table) for k in sorted({*OPTIONAL, *LABELS})},
        }
    if len(sizes) > 1:
        (a, first), (b, second) = list(sizes.items())[:2]
        raise UserError(
            f"{second}: its pictures are {b} px, those of {first} are {a} px; keep one "
            "size in a dataset"
        )
    return ordered, {"kind": kind, "size": next(iter(sizes)), "splits": splits}


def _mark(stored: Any) -> str:
    """A digest of the contents of a file, by the checksums in its directory."""
    parts = sorted((part.filename, part.CRC, part.file_size) for part in stored.zip.infolist())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _clip_head(path):
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = set(stored.files)
            distance = float(stored["distance"]) if "distance" in names else None
            return {
                "id": str(stored["clip_id"]),
                "identity": [str(stored["identity"])],
                "size": int(stored["size"]),
                "frames": len(stored["frames_sizes"]),
                "distance": distance,
                "has": names,
                "mark": _mark(stored),
            }
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{path}: is not a readable clip ({error}); make it anew") from None


def _swap_head(path):
    group = read_group(path)
    with np.load(path, allow_pickle=False) as stored:
        mark = _mark(stored)
    has = {name for name, value in group._asdict().items() if value is not None}
    return {
        "id": group.group_id,
        "identity": list(group.identity),
        "size": group.size,
        "frames": list(group.counts()),
        "distance": None,
        "has": has,
        "mark": mark,
    }
