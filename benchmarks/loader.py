"""Throughput of the loader of stage 1, and the share of training time that waits for it.

    python benchmarks/loader.py [--sizes 256 512] [--train debug] [-o results.json]

On synthetic clips of 10 s whose JPEG frames are as large as those of faces, with all labels of
`vasa-jax prepare`. Measured are: images a second of one process with one thread (read, decoded and
augmented; source and driver of each pair count, the driver's second view does not), over wall and
over processor time, by the number of pairs drawn from each read of a record; the same with worker
processes; and, with --train, a training run of a small config with the cheap losses.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import jax
import numpy as np

from vasa_jax.config import apply_overrides, get_config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.clip import LANDMARK_UNIT, Clip, write_clip
from vasa_jax.data_pipeline.datasets import features
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.loading import pairs
from vasa_jax.data_pipeline.loading.loaders import FaceLoader
from vasa_jax.training import run as training

FRAMES = 250
BATCH = 16
POINTS = [[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.43, 0.62], [0.57, 0.62]]


def picture(size: int, rng: np.random.Generator) -> bytes:
    small = rng.integers(0, 256, (size // 16, size // 16, 3), np.uint8)
    smooth = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = rng.integers(-4, 5, smooth.shape)
    image = np.clip(smooth + grain, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def write_clips(out: Path, size: int, clips: int, frames: int = FRAMES) -> Path:
    """A dataset of `clips` clips, each of another person."""
    rng = np.random.default_rng(0)
    pool = [picture(size, rng) for _ in range(25)]
    files = []
    for number in range(clips):
        order = rng.integers(0, len(pool), frames)
        values = {
            name: rng.uniform(-0.2, 0.2, (frames, width)).astype(np.float32)
            for name, width in (
                ("rotation", 3),
                ("translation", 3),
                ("log_scale", 1),
                ("gaze", 2),
                ("arkit", 52),
            )
        }
        files.append(out / "clips" / f"{number}.npz")
        write_clip(
            files[-1],
            Clip(
                clip_id=f"{number}",
                identity=f"{number}",
                size=size,
                frames=[pool[k] for k in order],
                audio=rng.integers(-3000, 3000, frames * 640).astype(np.int16),
                points=np.tile(np.float32(POINTS), (frames, 1, 1)),
                landmarks=rng.integers(0, LANDMARK_UNIT, (frames, 478, 2)).astype(np.int16),
                **values,
            ),
        )
    write_dataset(out, "video_folder", {"train": files})
    return out


def timed(call, repeats: int = 15) -> float:
    """Median milliseconds of a call."""
    call()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(found), 3)


def parts(folder: Path, size: int) -> dict:
    """Milliseconds of each step of the loader, one thread."""
    dataset, rng = open_dataset(folder), np.random.default_rng(0)
    source, records = dataset.source("train"), dataset.records("train")
    clip, content = records[0], source[0]
    dataset_features = features.clip_features()
    labels = {"points": clip.points[:2]}
    raw = pairs.EncodedPair(0, (clip.frames[0], clip.frames[1]), None, labels)
    image = pairs.decode_rgb(clip.frames[0], size)
    places = augment.thin_plate(augment.draw_warp(rng, 0.02), size)
    matrix = augment.draw_colours(rng, augment.STRONG)
    how = pairs.Augment()
    turn = iter(range(10**9))
    return {
        "jpeg_bytes": len(clip.frames[0]),
        "record_bytes": len(source[0]),
        "read_record_ms": timed(lambda: source[next(turn) % len(source)]),
        "parse_record_ms": timed(lambda: pairs.read_record(content)),
        "parse_record_by_tfds_ms": timed(lambda: dataset_features.deserialize_example_np(content)),
        "decode_jpeg_ms": timed(lambda: pairs.decode_rgb(clip.frames[0], size)),
        "recolour_ms": timed(lambda: augment.recolour(image, matrix)),
        "thin_plate_field_ms": timed(
            lambda: augment.thin_plate(augment.draw_warp(rng, 0.02), size)
        ),
        "warp_ms": timed(lambda: augment.warp(image, places)),
        "pair_ms": timed(lambda: pairs.make_pair(raw, size, how, rng, False)),
    }


def cpu_seconds() -> float:
    """Processor time of this process and its workers (Linux)."""
    found = sum(os.times()[:2])
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        found += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return found


def rate(folder: Path, size: int, seconds: float, workers: int, draws: int) -> dict:
    """Throughput over some seconds."""
    config = apply_overrides(get_config("base256"), [f"face.image_size={size}"])
    loader = FaceLoader(folder, config, BATCH, workers=workers, draws=draws)
    try:
        # Whole blocks only: a block's records are read before its first batch.
        whole = 4 * draws
        for _ in range(whole if workers == 0 else 2 * whole):
            next(loader)
        count, start, before = 0, time.perf_counter(), cpu_seconds()
        while count % whole or time.perf_counter() - start < seconds:
            next(loader)
            count += 1
        passed, worked = time.perf_counter() - start, cpu_seconds() - before
    finally:
        loader.close()
    images = 2 * BATCH * count / passed
    return {
        "workers": workers,
        "pairs_per_read": draws,
        "batches": count,
        "images_per_s": round(images, 1),
        "images_per_cpu_second": round(2 * BATCH * count / worked, 1),
    }


def wait(name: str, steps: int, folder: Path) -> dict:
    """Step time of a training run, and the share of it that waits for batches."""
    # Without the losses that need another network: short steps wait first.
    off = [
        f"face_losses.{k}.weight=0"
        for k in (
            "perceptual",
            "face_features",
            "cross_identity",
            "adversarial",
            "contrast",
            "consistency",
        )
    ]
    config = apply_overrides(
        get_config(name),
        [
            *off,
            "face_losses.consistency.perceptual=0",
            "train_face.log_every=1",
            f"train_face.batch={BATCH}",
        ],
    )
    write_clips(folder / "data", config.face.image_size, 32, 100)
    found = []
    for workers in (0, 1):
        loader = FaceLoader(folder / "data", config, workers=workers)
        work = folder / f"work{workers}"
        try:
            training.run(config, "face", work, loader, steps=steps)
        finally:
            loader.close()
        rows = [json.loads(line) for line in (work / "metrics.jsonl").open()][2:]
        step = statistics.median(1 / row["it/s"] for row in rows)
        share = statistics.median(row["data_wait"] for row in rows)
        found.append(
            {
                "workers": workers,
                "steps": len(rows),
                "seconds_per_step": round(step, 4),
                "share_waited": round(share, 5),
            }
        )
    return {"config": name, "batch": BATCH, "image_size": config.face.image_size, "runs": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[os.cpu_count()])
    parser.add_argument("--train", metavar="CONFIG")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    sizes, waited = {}, None
    with tempfile.TemporaryDirectory() as scratch:
        for size in args.sizes:
            folder = write_clips(Path(scratch) / str(size), size, args.clips)
            sizes[size] = parts(folder, size)
            plans = [*((0, draws) for draws in (1, 2, 4, 8)), *((w, 4) for w in args.workers)]
            sizes[size]["rates"] = [rate(folder, size, args.seconds, *plan) for plan in plans]
            print(size, json.dumps(sizes[size], indent=1), file=sys.stderr)
        if args.train:
            waited = wait(args.train, args.steps, Path(scratch))
    result = {
        "sizes": sizes,
        "training": waited,
        "clip": {"frames": FRAMES, "clips": args.clips},
        "device": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_average": [round(v, 2) for v in os.getloadavg()],
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        },
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
