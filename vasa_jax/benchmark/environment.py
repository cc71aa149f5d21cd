"""Where a figure was measured: device, driver, versions and flags; and how much memory was used."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import jaxlib


def environment() -> dict[str, Any]:
    """What decides how fast a program runs here, as JSON-ready values."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": _cpu_name() if device.platform == "cpu" else device.device_kind,
        "devices": jax.device_count(),
        "host_cores": os.cpu_count(),
        "driver": _driver(device.platform),
        "runtime": " ".join(str(device.client.platform_version).split())[:200],
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "python": platform.python_version(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul_precision": str(jax.config.jax_default_matmul_precision),
    }


def fingerprint(facts: dict[str, Any]) -> str:
    """A short name of an environment: the same facts, the same name."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _driver(kind: str) -> str | None:
    if kind not in ("gpu", "cuda") or shutil.which("nvidia-smi") is None:
        return None
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=30)
    return done.stdout.split("\n")[0].strip() or None if done.returncode == 0 else None


def forget_peak() -> None:
    """Let the host's peak of resident memory start anew, where the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory() -> dict[str, int]:
    """Peak bytes: of the device since the process began, and of the host since `forget_peak`."""
    found = {}
    stats = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        found["device_peak_bytes"] = int(stats["peak_bytes_in_use"])
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        found["host_peak_bytes"] = int(line.split()[1]) * 1024
    return found


def program_memory(compiled: Any) -> dict[str, int]:
    """Bytes that one compiled program needs: its arguments, results and temporaries."""
    analysis = compiled.memory_analysis()
    names = ("argument", "output", "temp", "alias")
    sizes = {n: getattr(analysis, f"{n}_size_in_bytes", None) for n in names}
    if None in sizes.values():
        return {}
    total = sizes["argument"] + sizes["output"] + sizes["temp"] - sizes["alias"]
    return {"program_bytes": int(total), "program_temp_bytes": int(sizes["temp"])}
