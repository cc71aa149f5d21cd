"""All benchmarks of one accelerator within a time limit, the most important first; resumable.

    python benchmarks/accelerator.py                       # ten minutes
    python benchmarks/accelerator.py --only train-face     # may take ten minutes to compile
    python benchmarks/accelerator.py --minutes 25 -o FILE

Writes benchmarks/results/DEVICE-DATE.json (or FILE) after every row, and a Markdown table beside
it. Existing rows are not measured again: repeat the command until nothing is left. Each part runs
in a process of its own, so that a failure does not end the others. Rows that need PyAV, torch,
grain or tensorflow-datasets are skipped where they are not installed.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MIN_SECONDS = 30  # time left that a part needs to be started


def parts(config, quick):
    """(name, arguments of `vasa-jax benchmark` or of a script), the most important first."""
    own, bf16 = ["--config", config], ["--set", "precision=bf16"]
    small = ["--repeats", "3", "--row-seconds", "2", "--seconds", "1"] if quick else []

    def ask(name, *words):
        return name, ["-m", "vasa_jax.cli", "benchmark", *own, *bf16, "--what", *words, *small]

    one = [] if not quick else ["--batches", "2"]
    size = [] if quick else ["--sizes", "512"]
    yield ask(
        "decode, the bar of 135 frames/s", "decode", *size, *(one or ["--batches", "8,1,16,32"])
    )
    yield ask("online, the first frame", "online", *(one or ["--batches", "2,4"]))
    yield ask("sampler", "sampler", *(one or ["--batches", "1,16,64"]))
    yield ask("end-to-end", "end-to-end")
    yield ask("train-motion", "train-motion", *one)
    yield ask("encode", "encode", *size)
    yield ask("audio", "audio")
    yield ask("decode, all sizes", "decode", *one)
    yield ask(
        "sampler, few steps by DPM-Solver++",
        "sampler",
        "--set",
        "diffusion.sampler=dpmpp2m",
        *(one or ["--batches", "1"]),
    )
    if not quick:
        yield ask(
            "sampler, five steps in a trip",
            "sampler",
            "--set",
            "diffusion.unroll=5",
            "--steps",
            "50",
            "--batches",
            "1",
        )
        yield ask(
            "sampler, cuDNN attention",
            "sampler",
            "--set",
            "motion.attention_backend=cudnn",
            "--batches",
            "1,64",
        )
        demo = ["-m", "vasa_jax.cli", "benchmark", "--config", "demo", *bf16]
        yield "demo", [*demo, "--what", "decode", "--what", "online", "--batches", "1,8,32"]
    # Last: it may take the whole time to compile.
    yield ask("train-face", "train-face", *one)


def peers(config, quick):
    """The comparison with torch, whose rows are ratios and go to a file of their own."""
    count = ["--pairs", "2" if quick else "7"]
    batch = [] if quick else ["--batch", "8", "--compile"]
    yield ["benchmarks/peers/run.py", "--config", config, *count, *batch]


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def device_name():
    """The accelerator's name, from another process: this one must not hold its memory."""
    ask = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"jax finds no device: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip().splitlines()[-1]


def run(words, end, environment):
    """Run one part until the time limit; True if it ended by itself."""
    left = end - time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, timeout=max(left, 1)
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode:
        print(f"  (ended with code {done.returncode}; the rest goes on)", flush=True)
    return True


def table(output):
    """Write the results as Markdown beside the JSON."""
    sys.path.insert(0, str(ROOT))
    from vasa_jax.benchmark.table import report

    output.with_suffix(".md").write_text(report(json.loads(output.read_text())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="vasa1")
    parser.add_argument("--minutes", type=float, default=9.5, help="time limit")
    parser.add_argument(
        "--quick", action="store_true", help="few repeats, small batches: a rehearsal"
    )
    parser.add_argument("--only", metavar="WORD", default="", help="parts whose name has this word")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    device = device_name()
    date = time.strftime("%Y-%m-%d", time.gmtime())
    output = arguments.output or ROOT / "benchmarks" / "results" / f"{slug(device)}-{date}.json"
    output = output.resolve()
    print(f"{device}: {output}", flush=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    # The allocator's pool would make one process's peak look like the whole card.
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    whole = True
    for name, words in parts(arguments.config, arguments.quick):
        if arguments.only not in name:
            continue
        left = end - time.monotonic()
        if left < MIN_SECONDS:
            whole = False
            break
        print(f"== {name} ({left:.0f} s left)", flush=True)
        # The part stops by itself between rows; `run` ends it at the time limit.
        budget = ["--budget", f"{max(left - 20, 1):.0f}"]
        whole = run([*words, *budget, "-o", str(output)], end, environment) and whole
    if arguments.only not in "against torch":
        pass
    elif importlib.util.find_spec("torch") is None:
        print("== torch is not installed: no comparison with it")
    else:
        for words in peers(arguments.config, arguments.quick):
            ratios = output.with_name(f"{output.stem}-peers.json")
            if ratios.exists() and not arguments.quick:
                continue
            if end - time.monotonic() < MIN_SECONDS:
                whole = False
                break
            print("== against torch", flush=True)
            whole = run([*words, "-o", str(ratios)], end, environment) and whole
    if output.exists():
        table(output)
    print(
        "all parts were run: run the same command again to see whether rows are left"
        if whole
        else "out of time: run the same command again to resume"
    )


if __name__ == "__main__":
    main()
