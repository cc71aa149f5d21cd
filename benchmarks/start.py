"""Seconds from process start to the first frame, with a cold and a warm compile cache.

    python benchmarks/start.py --config debug [--set precision=bf16] [--repeats 3] [-o results.json]

Each run is a process: interpreter, imports, weights, programs (compiled or from the cache), the
portrait, one window of motion, and the first batch of frames in host memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHILD = """
import json, sys, time
marks = {"interpreter": time.time()}
from vasa_jax.benchmark.subject import BenchmarkModel, fake_portrait, fake_speech
from vasa_jax.compile_cache import enable_compile_cache
from vasa_jax.config import get_config
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.stream import stream
import jax
marks["imports"] = time.time()
jax.devices()
marks["device"] = time.time()
enable_compile_cache()
config = get_config(sys.argv[1], sys.argv[2:])
pipeline = Pipeline(BenchmarkModel(config, sys.argv[2:]).bundle)
marks["weights"] = time.time()
source = jax.block_until_ready(pipeline.encode(fake_portrait(config.face.image_size)))
marks["portrait"] = time.time()
seconds = (config.motion.window + 20) / 25
next(stream(pipeline, source, [fake_speech(seconds)]))
marks["first frame"] = time.time()
print(json.dumps({"marks": marks}))
"""


def run(words, cache):
    """Seconds of each stage of one run."""
    environment = {**os.environ, "VASA_JAX_CACHE": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    if done.returncode:
        sys.exit(done.stderr)
    marks = json.loads(done.stdout.strip().splitlines()[-1])["marks"]
    stages, before = {}, begun
    for name, at in marks.items():
        stages[name], before = at - before, at
    return stages | {"whole": before - begun}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="debug")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=3, help="of the warm start")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    words = [arguments.config, *arguments.set]
    with tempfile.TemporaryDirectory() as cache:
        cold = run(words, cache)
        warm = [run(words, cache) for _ in range(arguments.repeats)]
    from vasa_jax.benchmark.environment import environment

    report = {
        "question": "seconds from process start to the first frame",
        "config": arguments.config,
        "set": arguments.set,
        "environment": environment(),
        "cold": cold,
        "warm": {name: statistics.median(w[name] for w in warm) for name in cold},
        "warm_whole": [w["whole"] for w in warm],
        "load_average": os.getloadavg(),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
