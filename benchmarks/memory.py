"""Peak host memory of `vasa-jax generate` by clip length.

    python benchmarks/memory.py [--config debug] [--minutes 1 10] [-o results.json]

Each clip is generated in a process of its own, whose peak resident memory Linux reports.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"
# VmHWM, since ru_maxrss of a child starts at its parent's peak.
CHILD = """
import sys
from vasa_jax.cli import main
code = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def write_speech(path: Path, seconds: float) -> None:
    """A 140 Hz tone with pauses, 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        t = np.arange(16_000) / 16_000
        second = 0.4 * np.sin(2 * np.pi * 140 * t) * (np.sin(2 * np.pi * 3 * t) > -0.3)
        for _ in range(round(seconds)):
            file.writeframes((second * 32767).astype("<i2").tobytes())


def measure(config: str, minutes: float, folder: Path) -> dict:
    """Peak memory and time of one clip."""
    audio, video = folder / f"{minutes:g}.wav", folder / f"{minutes:g}.mp4"
    write_speech(audio, minutes * 60)
    arguments = ["generate", "-s", PORTRAIT, "-a", audio, "-o", video, "--config", config, "-q"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, arguments)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    peak = int(done.stdout.split()[-1]) * 1024
    return {"minutes": minutes, "peak_bytes": peak, "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="debug")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 10])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.config, 0.1, Path(folder))  # fills the compile cache
        runs = [measure(arguments.config, m, Path(folder)) for m in arguments.minutes]
    for run in runs:
        run["ratio"] = run["peak_bytes"] / runs[0]["peak_bytes"]
        print(
            f"{run['minutes']:6g} min  peak {run['peak_bytes'] / 2**20:7.0f} MiB  "
            f"{run['ratio']:5.3f} x  {run['seconds']:6.1f} s"
        )
    if arguments.output:
        import jax

        report = {
            "question": "peak host memory by clip length",
            "config": arguments.config,
            "device": jax.devices()[0].device_kind,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "jax": jax.__version__,
            "runs": runs,
        }
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
